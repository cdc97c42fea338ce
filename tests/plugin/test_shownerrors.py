"""Errors lose their secrets and stay what they are."""

from __future__ import annotations

import sys
import traceback

import pytest

from pytest_lmms.masks import Secrets
from pytest_lmms.plugin.shownerrors import substitute, without_secrets

KEY = "sk-canary-3f9c0d71b2"
hide = Secrets([KEY]).hide


class Odd(Exception):
    """Keeps its message elsewhere."""

    def __init__(self, message):
        self.parts = {"message": [message]}

    def __str__(self):
        return self.parts["message"][0]


class Refusing(Exception):
    """Makes its text anew each time."""

    def __str__(self):
        return KEY[:5] + KEY[5:]


def caused(cause):
    try:
        raise RuntimeError("no", [KEY]) from cause
    except RuntimeError as error:
        return error


ERRORS = [
    ValueError(KEY), KeyError(KEY), OSError(2, KEY, KEY, None, KEY), ImportError(KEY, name=KEY), Odd(KEY),
    caused(Odd(KEY)),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_changed_in_place(error):
    assert without_secrets(error, hide) is error
    text = "".join(traceback.format_exception(error))
    assert KEY not in text
    assert "********" in text


def test_notes_are_changed_too():
    error = ValueError("no")
    error.__notes__ = [KEY]
    assert without_secrets(error, hide) is error
    assert error.__notes__ == ["********"] or sys.version_info < (3, 11)  # which show none


def test_one_that_cannot_be_changed_gives_way_to_one_of_its_name():
    shown = without_secrets(Refusing(), hide)
    assert type(shown).__name__ == "Refusing"
    assert str(shown) == "********"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs groups of errors")
def test_a_group_shows_no_secret_of_its_own_or_of_its_members():
    group = ExceptionGroup(f"all of {KEY}", [ValueError(KEY), Odd(KEY)])  # noqa: F821
    assert KEY not in "".join(traceback.format_exception(without_secrets(group, hide)))
    harmless = ExceptionGroup("all", [ValueError(KEY), Odd(KEY)])  # noqa: F821
    assert without_secrets(harmless, hide) is harmless
    assert KEY not in "".join(traceback.format_exception(harmless))


def test_an_error_without_secrets_is_left_alone():
    error = OSError(2, "no", "file")
    assert without_secrets(error, hide) is error
    assert error.args == (2, "no")
    assert substitute(error, hide) is None
    assert substitute(None, hide) is None


def test_errors_that_cause_each_other_come_to_an_end():
    first, second = ValueError(KEY), ValueError(KEY)
    first.__context__, second.__context__ = second, first
    assert KEY not in str(without_secrets(first, hide))
    assert KEY not in str(second)
