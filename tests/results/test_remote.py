"""Runs on other stores, through fsspec: in memory, and on a Hub of this machine."""

from __future__ import annotations

import fsspec
import pytest
from huggingface_hub import HfFileSystem, constants

from pytest_lmms.errors import StoreError, UsageError
from pytest_lmms.results.baselines import find_baseline
from pytest_lmms.results.remote import check, fetch_run, is_remote, upload
from tests.hub_server import Hub, running
from tests.results.run_files import write_run


@pytest.fixture
def bucket(tmp_path):
    """An empty place in fsspec's memory."""
    url = f"memory://{tmp_path.name}"
    yield url
    memory = fsspec.filesystem("memory")
    if memory.exists(f"/{tmp_path.name}"):
        memory.rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def run(tmp_path):
    """A run with responses."""
    folder = write_run(tmp_path / "20260101_m", {"t": [1, 0]})
    (folder / "responses").mkdir()
    (folder / "responses" / "a.db").write_bytes(b"\0" * 1000)
    return folder


@pytest.mark.parametrize(
    ("path", "expected"),
    [("s3://b/runs", True), ("hf://datasets/me/runs", True), ("memory://x", True), ("results", False),
     ("/abs", False), ("file:///tmp/x", False), ("C:\\runs", False)],
)  # fmt: skip
def test_addresses_are_told_from_paths(path, expected):
    assert is_remote(path) is expected


def test_a_run_goes_there_and_comes_back_whole(run, bucket, tmp_path):
    assert upload(run, bucket) == f"{bucket}/20260101_m"
    copy = fetch_run(f"{bucket}/20260101_m", tmp_path / "here", where="--opt", part="everything")
    assert copy.name == "20260101_m"
    files = {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert {p.relative_to(copy): p.read_bytes() for p in copy.rglob("*") if p.is_file()} == files


def test_a_baseline_may_lie_elsewhere(run, bucket, tmp_path):
    upload(run, bucket)
    for url in (f"{bucket}/20260101_m", f"{bucket}/20260101_m/", f"{bucket}/20260101_m/results.json"):
        found = find_baseline(url, tmp_path / "store")
        assert found.name == "20260101_m"
        assert len(list(found.rows("t"))) == 2
    assert not (found.path.parent / "responses").exists()


def test_nothing_there_is_told(bucket, tmp_path):
    with pytest.raises(StoreError, match=r"--opt memory://.*: no run here"):
        fetch_run(f"{bucket}/gone", tmp_path, where="--opt")


def test_an_unknown_kind_of_address_is_told_before_the_run():
    with pytest.raises(UsageError, match="--opt: nosuch://x cannot be opened"):
        check("nosuch://x", "--opt")
    check("memory://x", "--opt")


def test_a_copy_that_fails_says_where_the_run_is(run, monkeypatch):
    memory = fsspec.filesystem("memory")

    def full(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(type(memory), "put_file", full)
    with pytest.raises(StoreError, match=r"(?s)no space left.*it stays here: .*20260101_m"):
        upload(run, "memory://full")


def test_the_hub_takes_a_run(run, monkeypatch, tmp_path):
    with running(Hub(datasets={"me/runs": {}})) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", "hf_loopback")
        HfFileSystem.clear_instance_cache()
        try:
            assert upload(run, "hf://datasets/me/runs/ci") == "hf://datasets/me/runs/ci/20260101_m"
            assert sorted(server.datasets["me/runs"]) == [
                f"ci/20260101_m/{n}" for n in ("responses/a.db", "results.json", "samples_t.jsonl")
            ]
            found = find_baseline("hf://datasets/me/runs/ci/20260101_m", tmp_path / "store")
            assert found.name == "20260101_m"
        finally:
            HfFileSystem.clear_instance_cache()
