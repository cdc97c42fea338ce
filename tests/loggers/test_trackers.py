"""Each tracker, with its own library: offline, or against a server on this machine."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time

import pytest
from huggingface_hub import constants

from pytest_lmms.loggers import hub, tensorboard, trackio, wandb
from tests.hub_server import Hub, running


def test_wandb_writes_a_run_offline(finished, tmp_path):
    pytest.importorskip("wandb")
    results, folder = finished
    said = wandb.log(results, folder, project="p", mode="offline", folder=str(tmp_path))
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert str(path.parent) in said
    wanted = {b"t/acc", b"0.75", b"20260101_000000_m", b"throughput/avg_speed", b"results.json"}
    end = time.monotonic() + 60
    while missing := {text for text in wanted if text not in path.read_bytes()}:  # its own process writes the file
        assert time.monotonic() < end, missing
        time.sleep(0.05)


def test_tensorboard_reads_the_numbers(finished, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    results, folder = finished
    tensorboard.log(results, folder, folder=str(tmp_path / "all"), step=7)
    read = accumulator.EventAccumulator(str(tmp_path / "all" / folder.name))
    read.Reload()
    (value,) = read.Scalars("t/acc")
    assert (value.step, value.value) == (7, 0.75)
    (text,) = read.Tensors("settings")
    assert b'"limit": 4' in text.tensor_proto.string_val[0]


@pytest.fixture
def loopback(monkeypatch):
    """A Hub on this machine that takes commits."""
    with running(Hub()) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", "hf_loopback")
        yield server


def test_the_hub_gets_results_and_records(finished, loopback):
    results, folder = finished
    (folder / "responses").mkdir()
    (folder / "responses" / "secret.db").write_bytes(b"x")
    said = hub.log(results, folder, repo="me/runs")
    assert "me/runs" in said
    files = loopback.datasets["me/runs"]
    assert {p for p in files if p.startswith(folder.name)} == {
        f"{folder.name}/{n}" for n in ("results.json", "samples_t.jsonl", "samples_u.jsonl")
    }
    assert json.loads(files[f"{folder.name}/results.json"]) == results
    digest = hashlib.sha256((folder / "samples_t.jsonl").read_bytes()).hexdigest()
    assert hashlib.sha256(files[f"{folder.name}/samples_t.jsonl"]).hexdigest() == digest


def test_records_can_stay_at_home(finished, loopback):
    results, folder = finished
    hub.log(results, folder, repo="me/runs", samples=False)
    assert [p for p in loopback.datasets["me/runs"] if "samples" in p] == []


def test_trackio_keeps_the_numbers_on_this_machine(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="trackio takes no Pillow as new as ours: make test-trackio")
    results, folder = finished
    said = trackio.log(results, folder, project="p")
    assert said == "trackio: 20260101_000000_m in project p"
    with sqlite3.connect(tmp_path / "trackio" / "p.db") as database:
        (row,) = database.execute("select metrics from metrics").fetchall()
    assert b"t/acc" in (row[0] if isinstance(row[0], bytes) else row[0].encode())
