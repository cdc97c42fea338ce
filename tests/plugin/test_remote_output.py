"""`--lmms-output-path` as an address."""

from __future__ import annotations

import json
import shutil

import fsspec
import pytest


@pytest.fixture
def memory(pytester):
    """A place in fsspec's memory: its address, and its files by name."""
    root = f"/{pytester.path.name}"
    fs = fsspec.filesystem("memory")
    yield f"memory:/{root}", lambda: {p.removeprefix(root + "/"): fs.cat(p) for p in fs.find(root)}
    if fs.exists(root):
        fs.rm(root, recursive=True)


@pytest.fixture
def task(pytester, write_task):
    """Three documents."""
    return write_task(pytester.path / "tasks", "t")


def test_a_run_is_copied_and_can_be_gone_on_with_from_there(pytester, task, run, memory):
    url, files = memory
    result = run(task, "--lmms-output-path", url)
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"Copied to: {url}/*"])
    names = {name.partition("/")[2] for name in files()}
    assert {"results.json", "run.json", "samples_t.jsonl"} < names
    (name,) = {name.partition("/")[0] for name in files()}
    shutil.rmtree(pytester.path / ".lmms")
    result = run(task, "--lmms-output-path", url, "--lmms-resume", f"{url}/{name}")
    assert result.ret == 0
    assert json.loads(files()[f"{name}/run.json"])["resumed"] == 1
    assert {n.partition("/")[0] for n in files()} == {name}
    gated = run(task, "--lmms-output-path", url, "--lmms-baseline", f"{url}/{name}", "--lmms-fail-on-regression")
    assert gated.ret == 0


def test_an_address_that_nothing_opens_is_told_before_anything_runs(task, run):
    result = run(task, "--lmms-output-path", "nosuch://x")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--lmms-output-path: nosuch://x cannot be opened*"])


def test_a_copy_that_fails_fails_the_run_and_keeps_it(pytester, task, run, memory, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "put_file", full)
    result = run(task, "--lmms-output-path", memory[0])
    assert result.ret == 1
    result.stdout.fnmatch_lines(["lmms: *no space left*", "*it stays here: *"])
    (path,) = pytester.path.glob(".lmms/runs/*/results.json")
    assert json.loads(path.read_text())["complete"]
