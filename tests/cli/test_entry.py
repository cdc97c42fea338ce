"""The command `pytest-lmms` as a process."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def process(*arguments, code=None):
    start = ["-c", code] if code else ["-m", "pytest_lmms"]
    command = [sys.executable, *start, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)


def test_the_module_runs_as_a_program():
    done = process("version")
    assert (done.returncode, done.stdout.strip()) == (0, version("pytest-lmms"))


@pytest.mark.parametrize("command", [["tasks", "list"], ["tasks", "subtasks"], ["models"], ["power"], ["version"]])
def test_no_list_imports_a_heavy_library(command):
    code = (
        "import sys; from pytest_lmms.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print(*{n.split('.')[0] for n in sys.modules}, file=sys.stderr)"
    )
    done = process(*command, code=code)
    assert done.returncode == 0, done.stderr
    assert not {"torch", "transformers", "datasets", "pytest", "openai", "av"} & set(done.stderr.split())


def test_a_reader_that_leaves_early_is_no_error():
    code = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); from pytest_lmms.cli import main\n"
    done = process(code=code + "sys.exit(main(['tasks', 'inputs', 'mme']))")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["evla"], "did you mean: eval?"),
        (["gate", "RUN", "--fail-undr", "acc=1"], "did you mean: --fail-under?"),
        (["tasks", "inputs", "mme", "--wrte=x"], "did you mean: --write?"),
        (["version", "now"], "no argument 'now'"),
    ],
)
def test_a_word_that_is_not_known_is_told_with_the_one_that_was_meant(run, arguments, meant):
    code, out, err = run(*arguments)
    assert (code, out) == (4, "")
    assert meant in err


def test_an_interrupted_command_says_so_and_has_the_exit_code_of_pytest(run, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_lmms.cli.version._version", interrupt)
    assert run("version") == (2, "", "pytest-lmms: interrupted\n")


def test_names_keep_their_capitals_in_the_help(run):
    assert "in the schema of Every Eval Ever." in run("export", "--help")[1]


@pytest.mark.parametrize("arguments", [[], ["data"], ["tasks", "lists"], ["power", "--effect", "big"]])
def test_a_command_line_that_says_nothing_shows_the_usage(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (4, "")
    assert err.startswith("usage: pytest-lmms")
