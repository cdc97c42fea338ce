"""The generated agentic tasks can be solved by who knows the rules, and not by chance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.agents import generate

ROOT = Path(__file__).parents[2]
CONFTEST = """
import sys
import pytest
sys.path.insert(0, {root!r})
from pytest_lmms.testing import ScriptedModel
from tools.agents import policies

@pytest.fixture(scope="session")
def lmms_model():
    return ScriptedModel(lambda request: policies.{policy}(request.task, request.text))
"""
SUCCESS = {"vending_bench2_generated": "vending_success,none", "tau2_bench_telecom_generated": "tau2_success,none"}


def results_of(folder, policy, task):
    """Play all 50 documents in a real run."""
    (folder / "conftest.py").write_text(CONFTEST.format(root=str(ROOT), policy=policy))
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--lmms-tasks", task, "--lmms-output-path", "results",
        "--no-lmms-report", "--lmms-batch-size", "16",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("results/*/results.json")
    return json.loads(path.read_text())["results"][task]


@pytest.mark.parametrize("task", SUCCESS)
def test_the_best_agent_solves_every_document(tmp_path, task):
    results = results_of(tmp_path, "best_reply", task)
    assert results[SUCCESS[task]] == 1.0


@pytest.mark.parametrize("task", SUCCESS)
def test_a_random_agent_solves_next_to_none(tmp_path, task):
    assert results_of(tmp_path, "random_reply", task)[SUCCESS[task]] <= 0.04


@pytest.mark.parametrize("path", generate.files(), ids=lambda p: p.stem)
def test_the_documents_are_those_that_the_seed_gives(path):
    assert path.read_text(encoding="utf-8") == generate.files()[path]
