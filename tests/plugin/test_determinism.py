"""The same seed and model give the same responses, records and results, however the work is divided."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_lmms.errors import LmmsError
from pytest_lmms.registry import MODELS
from tests.plugin.run_helpers import timeless

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "determinism.md"
DIVISIONS = {
    "one by one": ["--lmms-batch-size", "1"],
    "threes": ["--lmms-batch-size", "3"],
    "eights": ["--lmms-batch-size", "8"],
    "two workers": ["--lmms-batch-size", "1", "-n", "2"],
    "two workers, threes": ["--lmms-batch-size", "3", "-n", "2"],
}
OWN = {"arguments", "timings", "num_cached", "batch_sizes", "date"}
"""What a record tells of the way it was made."""


def run(folder, *arguments):
    command = [sys.executable, "-m", "pytest", str(ROOT / "benchmarks" / "mme"), "--lmms-data", "mini", "-q"]
    done = subprocess.run(
        [*command, "--lmms-output-path", str(folder), "--no-lmms-report", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.iterdir()
    records = [json.loads(line) for line in (path / "samples_mme.jsonl").read_text().splitlines()]
    results = json.loads((path / "results.json").read_text())
    return [{k: v for k, v in timeless(r).items() if k not in OWN} for r in records], results["results"]


@pytest.mark.parametrize("model", [["tiny_vlm"], ["dummy"]], ids=lambda m: m[0])
def test_responses_records_and_results_are_the_same_however_work_is_divided(tmp_path, model):
    found = {
        name: run(tmp_path / str(i), "--lmms-model", *model, "--lmms-seed", "7", *arguments)
        for i, (name, arguments) in enumerate(DIVISIONS.items())
    }
    records, results = found["one by one"]
    assert len(records) == 8
    assert all(r["filtered_resps"] for r in records)
    for name, (others, other_results) in found.items():
        assert others == records, name
        assert other_results == results, name


def families():
    """Name of a model -> what its adapter's class says of batches."""
    found = {}
    for name in MODELS.names():
        try:
            found[name] = MODELS.load(name)
        except (ImportError, LmmsError):  # its libraries are not installed here
            found[name] = None
    return found


def test_the_page_names_every_model_once_and_why_it_cannot_promise():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `")
    ]
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(named) == sorted(MODELS.names())
    assert all(row[1] in ("yes", "on a CPU in float32", "no") for row in rows)
    assert all(len(row[2].split()) > 4 for row in rows)
    promised = {name: row[1] for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    for name, adapter in families().items():
        if adapter is None:
            continue
        says = getattr(adapter, "batch_invariant", None)
        expected = "no" if says in (None, False) else "yes" if says is True else "on a CPU in float32"
        assert promised[name] == expected, name
