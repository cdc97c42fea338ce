"""Which loggers, with which arguments; what they are given."""

from __future__ import annotations

import pytest

from pytest_lmms import loggers
from pytest_lmms.errors import UsageError
from pytest_lmms.loggers import Target, parse_targets, scalars, settings


def test_loggers_are_read_with_their_arguments():
    assert parse_targets("tensorboard; hub:repo=me/runs,private=false", "--opt") == (
        Target("tensorboard", {}),
        Target("hub", {"repo": "me/runs", "private": False}),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wand:project=x", "did you mean: wandb"),
        ("", "no logger ''"),
        ("hub", "hub needs repo"),
        ("tensorboard:folde=x", "did you mean: folder"),
        ("tensorboard:folder", "folder"),
    ],
)
def test_a_wrong_logger_is_told_before_the_run(text, message):
    with pytest.raises(UsageError, match=message):
        parse_targets(text, "--opt")


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'pytest-lmms\[tensorboard\]'"):
        parse_targets("tensorboard", "--opt")


def test_numbers_have_names_that_trackers_group(finished):
    results, _ = finished
    results["results"]["t"] |= {"f1,strict": 0.5, "f1,strict,sub_scores": {"a": 1}, "n_scored": 4, "complete": True}
    assert dict(scalars(results)) == {
        "t/acc": 0.75, "t/acc_stderr": 0.1, "t/f1@strict": 0.5, "t/n_scored": 4.0, "u/acc": 1.0, "u/acc_stderr": 0.1,
        "g/acc": 0.875, "throughput/avg_speed": 12.5,
    }  # fmt: skip


def test_settings_are_those_that_were_said(finished):
    told = settings(finished[0])
    assert (told["model"], told["tasks"], told["settings"]) == ("m", ["t", "u"], {"limit": 4})
    assert "********" in str(told["model_args"])
