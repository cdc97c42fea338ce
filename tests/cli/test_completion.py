"""`pytest-lmms completion`: what may follow, and the script in a real shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_lmms.cli import COMMANDS
from pytest_lmms.cli.completion import candidates

ROOT = Path(__file__).resolve().parents[2]


def test_first_comes_a_command():
    assert set(COMMANDS) <= set(candidates([]))


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (["tasks"], {"list", "groups", "inputs"}),
        (["tasks", "list"], {"--json", "--include-path"}),
        (["tasks", "inputs"], {"--limit", "mme"}),
        (["power"], {"--effect-size", "--alpha"}),
        (["eval"], {"--model", "--lmms-data"}),
        (["eval", "--model"], {"dummy", "tiny_vlm"}),
        (["eval", "--model", "dummy", "--lmms-tasks"], {"mme", "mmmu_val"}),
    ],
)
def test_then_what_the_command_takes(before, expected):
    assert expected <= set(candidates(before))


def test_flags_that_are_refused_are_not_offered():
    assert not {"--write_out", "--tui"} & set(candidates(["eval"]))


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_script_is_printed(run, shell):
    code, out, _ = run("completion", shell)
    assert code == 0
    assert "complete -o default -F _pytest_lmms pytest-lmms" in out


def test_the_script_completes_in_bash(run, tmp_path):
    program = tmp_path / "pytest-lmms"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pytest_lmms "$@"\n')
    program.chmod(0o755)
    script = run("completion", "bash")[1]
    lines = 'COMP_WORDS=(pytest-lmms tasks in); COMP_CWORD=2; _pytest_lmms; printf "%s\\n" "${COMPREPLY[@]}"'
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [shutil.which("bash") or "/bin/bash", "--norc", "-c", f"{script}\n{lines}"], capture_output=True, text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": paths}, check=False, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("inputs\n", "")
