"""A finished run to log."""

from __future__ import annotations

import json

import pytest

from tests.results.run_files import write_run


@pytest.fixture
def finished(tmp_path):
    """Folder and results of a run of two tasks and a group."""
    folder = write_run(
        tmp_path / "20260101_000000_m",
        {"t": [1, 0, 1, 1], "u": [1, 1]},
        groups={"g": {"alias": "g", "acc,none": 0.875, "acc_stderr,none": "N/A", "depth": 0}},
        throughput={"avg_speed": 12.5, "total_gen_tokens": None, "ttft_seconds": {"engine": {"p50": 1}}},
        config={"model": "m", "model_args": {"api_key": "********"}, "resolved_cli_args": {"limit": 4, "tasks": None}},
    )
    return json.loads((folder / "results.json").read_text()), folder
