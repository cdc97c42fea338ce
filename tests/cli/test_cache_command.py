"""`pytest-lmms cache`."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "ours"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "theirs"))
    files = (
        "ours/pytest-lmms/index/a.json",
        "ours/pytest-lmms/lance/x/0_a.mp4",
        "theirs/pytest_lmms/b.json",
        "theirs/parquet/data.arrow",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x" * 1000)
    return tmp_path


def test_caches_are_listed_with_place_and_size(run, caches):
    found = {entry["name"]: entry for entry in json.loads(run("cache", "--json")[1])}
    assert found["index"]["path"] == str(caches / "ours/pytest-lmms/index")
    assert [found[n]["size_bytes"] for n in ("index", "datasets", "lance")] == [1000, 1000, 1000]
    assert str(caches / "theirs/pytest_lmms") in run("cache")[1]


def test_one_cache_is_cleared_and_nothing_else(run, caches):
    assert run("cache", "--clear", "index")[0] == 0
    assert not (caches / "ours/pytest-lmms/index").exists()
    assert (caches / "theirs/pytest_lmms/b.json").exists()


def test_all_that_is_cleared_is_ours(run, caches):
    assert run("cache", "--clear", "all")[0] == 0
    assert not (caches / "theirs/pytest_lmms").exists()
    assert (caches / "theirs/parquet/data.arrow").exists()


def test_an_unknown_cache_is_refused(run, caches):
    code, _, err = run("cache", "--clear", "everything")
    assert code == 4
    assert "everything" in err
