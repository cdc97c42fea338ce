"""`${VAR}` filled in, and variables put back."""

from __future__ import annotations

import os

import pytest

from pytest_lmms.errors import UsageError
from pytest_lmms.masks import MASK
from pytest_lmms.variables import Applied, fill, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${A}", "1"),
        ("x-${A}-${A}", "x-1-1"),
        ("${B:-two}", "two"),
        ("${A:-two}", "1"),
        ("${EMPTY}", ""),
        ("${EMPTY:-two}", "two"),
        ("${B:-}", ""),
        ("${B:-${A}}", "1"),
        ("${B:-${C:-x}}", "x"),
        ("${B:-a:-b}", "a:-b"),
        ("$A $$ pa$word", "$A $$ pa$word"),
        ("$${A}", "${A}"),
        ("{A}", "{A}"),
    ],
)
def test_variables_are_filled_in(text, expected):
    assert fill(text, {"A": "1", "EMPTY": ""}, where="exp.yaml:2") == expected


def test_what_a_variable_holds_is_not_filled_in_again():
    assert fill("${A}", {"A": "${B}"}, where="") == "${B}"


@pytest.mark.parametrize(
    ("text", "said"), [("${NO}", "the variable NO is not set"), ("${A", "names no variable"), ("${}", "no variable")]
)
def test_a_variable_that_is_not_set_is_named_with_its_line(text, said):
    with pytest.raises(UsageError) as caught:
        fill(text, {"A": "1"}, where="exp.yaml:2")
    assert said in str(caught.value)
    assert str(caught.value).startswith("exp.yaml:2:")


def test_variables_are_put_back(monkeypatch):
    monkeypatch.setenv("LMMS_OLD", "before")
    monkeypatch.delenv("LMMS_NEW", raising=False)
    applied = Applied({"LMMS_OLD": "a", "LMMS_NEW": "b"})
    assert (os.environ["LMMS_OLD"], os.environ["LMMS_NEW"]) == ("a", "b")
    applied.restore()
    assert os.environ["LMMS_OLD"] == "before"
    assert "LMMS_NEW" not in os.environ


def test_what_is_made_of_a_secret_is_not_shown():
    written = {"A": "Bearer ${HF_TOKEN}", "B": "${HF_HOME}", "C_KEY": "x", "D_KEY": ""}
    filled = {"A": "Bearer hf_1", "B": "/data", "C_KEY": "x", "D_KEY": ""}
    assert shown(written, filled) == {"A": MASK, "B": "/data", "C_KEY": MASK, "D_KEY": ""}
