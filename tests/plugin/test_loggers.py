"""Trackers and Parquet at the end of a run."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def task(pytester, write_task):
    """Three documents."""
    return write_task(pytester.path / "tasks", "t")


def test_a_finished_run_is_logged(pytester, task, run, run_folder):
    pytest.importorskip("tensorboard")
    result = run(task, "--lmms-log-to", "tensorboard; tensorboard:folder=tb")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["lmms: logged to tensorboard: */tensorboard", "lmms: logged to tensorboard: tb/*"])
    for folder in (run_folder() / "tensorboard", pytester.path / "tb" / run_folder().name):
        assert list(folder.glob("events.*"))


def test_a_tracker_that_fails_loses_nothing_and_is_told(pytester, task, run, results_of):
    pytest.importorskip("tensorboard")
    (pytester.path / "file").write_text("in the way")
    result = run(task, "--lmms-log-to", "tensorboard:folder=file")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["lmms: NOT logged to tensorboard: *; the run folder is complete"])
    assert results_of()["complete"]


def test_a_wrong_logger_is_told_before_anything_runs(pytester, task, run):
    result = run(task, "--lmms-log-to", "wandbb")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*did you mean: wandb?*"])
    assert not (pytester.path / "results").exists()


def test_records_are_written_as_parquet_as_well(task, run, run_folder):
    assert run(task, "--lmms-parquet").ret == 0
    table = pq.read_table(run_folder() / "records_t.parquet")
    assert table["exact_match"].to_pylist() == [1, 1, 1]
    assert table["input"].to_pylist() == ["q0", "q1", "q2"]


@pytest.mark.parametrize("option", [["--lmms-log-to", "hub:repo=me/runs"],
                                    ["--lmms-output-path", "hf://datasets/me/runs"]])  # fmt: skip
def test_a_copy_without_a_token_is_refused_before_anything_is_asked(pytester, task, run, monkeypatch, option):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(pytester.path / "none"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    result = run(task, *option)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*no token of the Hub*"])
    assert not list(pytester.path.glob("**/run.json"))
    assert run(task, *option, "--lmms-dry-run").ret == 0
