"""The ready workflow for GitHub Actions says nothing that does not exist, and its steps work one after another."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from pytest_lmms.cli import COMMANDS
from pytest_lmms.config import OPTIONS

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = yaml.safe_load((ROOT / "examples" / "github_actions" / "evaluate.yml").read_text())


def steps(job):
    return [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]


def test_its_options_and_commands_exist():
    text = "\n".join([*steps("ask"), *steps("judge")])
    assert set(re.findall(r"--lmms-[a-z-]+", text)) <= {o.option for o in OPTIONS}
    assert set(re.findall(r"pytest-lmms (\w+)", text)) <= COMMANDS.keys()
    assert text.count("pytest-lmms ") == 3


def test_its_steps_find_a_regression_in_two_shards(tmp_path):
    """The commands as written, in shells of their own, on miniatures and with the dummy model."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, module in (("pytest", "pytest"), ("pytest-lmms", "pytest_lmms")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (tools / name).chmod(0o755)
    (ask,) = [s for s in steps("ask") if s.startswith("pytest ")]
    judge = {s.split()[1] + (" baseline" if "--save" in s else ""): s for s in steps("judge") if "pytest-lmms " in s}

    def shell(command, **variables):
        known = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), **variables}
        command = command.replace("$SHARD/4", "$SHARD/2").replace("pytest --", "pytest --lmms-data mini --")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
            cwd=tmp_path, env=known, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    summary = tmp_path / "summary.md"
    for branch, response in (("main", "Yes"), ("worse", "xyz")):
        for shard in ("1", "2"):
            settings = {"MODEL": "dummy", "MODEL_ARGS": f"response={response}", "TASKS": "mme", "SUBSET": "6"}
            code, said = shell(ask, **settings, SHARD=shard)
            assert code == 0, said
            (tmp_path / "shards").mkdir(exist_ok=True)
            (tmp_path / "runs").rename(tmp_path / "shards" / f"run-{shard}")
        code, said = shell(judge["merge"])
        assert code == 0, said
        if branch == "main":
            code, said = shell(judge["gate baseline"])
        else:
            code, said = shell(judge["gate"].replace("--fail-on-regression", "--fail-on-regression 1pt"),
                               GITHUB_STEP_SUMMARY=str(summary))  # fmt: skip
        assert code == (0 if branch == "main" else 1), said
        for folder in ("merged", "shards"):
            (tmp_path / folder).rename(tmp_path / f"{folder}-{branch}")
    assert "### Gates: 1 of 1 failed" in summary.read_text()
