"""`--lmms-output-path` as an address."""

from __future__ import annotations

import json
import shutil
import sys

import fsspec
import pytest

from pytest_lmms.cli import main


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


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of an S3 server on this machine: its address."""
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    thread = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    thread.start()
    host, port = thread.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("runs")
    yield "s3://runs"
    s3fs.S3FileSystem.clear_instance_cache()
    thread.stop()


def test_runs_of_a_bucket_are_merged_compared_gated_and_repeated(pytester, task, run, bucket, capsys):
    def names(below):
        fs = fsspec.filesystem("s3")
        fs.invalidate_cache()
        return [f"s3://{p}" for p in sorted(fs.ls(below))]

    for k in (1, 2):
        result = run(task, "--lmms-output-path", f"{bucket}/parts", "--lmms-shard", f"{k}/2")
        assert result.ret == 0
        result.stdout.fnmatch_lines([f"Copied to: {bucket}/parts/*"])
    assert run(task, "--lmms-output-path", f"{bucket}/whole").ret == 0
    (whole,) = names("runs/whole")
    shutil.rmtree(pytester.path / ".lmms")
    merged = f"{bucket}/merged/all"
    assert main(["merge", *names("runs/parts"), "--output", merged]) == 0
    assert f"Copied to: {merged}" in capsys.readouterr().out
    assert main(["merge", *names("runs/parts"), "--output", merged]) == 4
    assert "exists already" in capsys.readouterr().err
    assert main(["compare", whole, merged]) == 0
    assert "all" in capsys.readouterr().out
    assert main(["gate", merged, "--baseline", whole, "--fail-on-regression"]) == 0
    assert main(["gate", f"{whole}/results.json", "--fail-under", "t/exact_match=1.1"]) == 1
    assert main(["compare", whole, f"{bucket}/nothing"]) == 4
    assert "no run here" in capsys.readouterr().err
    assert main(["config", "export", whole]) == 0
    assert f"output_path: {bucket}/whole" in capsys.readouterr().out
    assert main(["export", whole, "--organization", "me", "--output", str(pytester.path / "exported")]) == 0
    assert len(list((pytester.path / "exported").rglob("*.json"))) == 1
    repeated = pytester.run(sys.executable, "-m", "pytest_lmms", "rerun", whole)
    assert repeated.ret == 0
    assert len(names("runs/whole")) == 2
