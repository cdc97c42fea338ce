"""Two commands that go on with one run at the same moment: one of them does, and the other takes nothing from it."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from pytest_lmms.results.shards import index_shards
from tests.plugin.run_helpers import Run

MODEL = """
import os, time
from pathlib import Path
import pytest
from pytest_lmms.records import Response

HERE = Path(__file__).parent

class Model:
    def generate(self, requests):
        while (HERE / "asked").exists() and (HERE / "hold").exists():
            time.sleep(0.01)
        with (HERE / "asked").open("a") as file:
            file.write("".join(f"{request.doc_id} main\\n" for request in requests))
        return [Response(text="A", finish_reason="stop") for _ in requests]

@pytest.fixture(scope="session")
def lmms_model():
    return Model()

def wait():
    if "WAIT" in os.environ:
        (HERE / "decided").touch()
        while not (HERE / "go").exists():
            time.sleep(0.01)

def pytest_collection_finish(session):
    wait()

@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config, specs):
    wait()
"""
"""A model that answers one batch and then waits, and a run that waits between its decision and its beginning."""


def wait_for(path, process):
    """Until a file is there."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def recorded(lab):
    """Documents in the shards of the newest run."""
    return index_shards(lab.run_path / "shards").places.get("toy", {}).keys()


def until_recorded(lab, process):
    """Wait for a first record."""
    wait_for(lab.path / "asked", process)
    while not recorded(lab):
        assert process.poll() is None
        time.sleep(0.01)


def kill(process):
    """With its workers."""
    if process.poll() is None:  # the number of one that has ended may be another's
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def start(lab):
    """Starts runs, of which none outlives the test."""
    started = []

    def start(*arguments, **options):
        started.append(lab.start(*arguments, **options))
        return started[-1]

    yield start
    for process in started:
        kill(process)


def check(lab, start, monkeypatch, *arguments):
    """Let the second command decide first, and begin when the first one has recorded something."""
    lab.task(8)
    (lab.path / "conftest.py").write_text(MODEL)
    (lab.path / "hold").touch()
    options = ("--lmms-batch-size", "2", *arguments)
    killed = start(*options)
    until_recorded(lab, killed)
    kill(killed)
    monkeypatch.setenv("WAIT", "1")
    with (lab.path / "late").open("w") as output:
        late = start(*options, "--lmms-resume", stdout=output)
        wait_for(lab.path / "decided", late)
        monkeypatch.delenv("WAIT")
        lab.forget()
        early = start(*options, "--lmms-resume")
        until_recorded(lab, early)
        kept = recorded(lab)
        (lab.path / "go").touch()
        late.wait(120)
    refused = Run(late.returncode, (lab.path / "late").read_text())
    assert refused.code == 4, refused
    assert f"that run is still going on, in process {early.pid}" in refused.output
    assert recorded(lab) >= kept
    kill(early)
    (lab.path / "hold").unlink()
    run = lab.run(*options, "--lmms-resume")
    assert run.code == 0, run
    assert [record["doc_id"] for record in lab.records()] == list(range(8))


def test_the_second_of_two_that_go_on_with_one_run_is_refused(lab, start, monkeypatch):
    check(lab, start, monkeypatch)


def test_the_second_of_two_with_workers_is_refused(lab, start, monkeypatch):
    check(lab, start, monkeypatch, "-n", "2")


def test_a_run_that_cannot_be_read_keeps_no_other_from_going_on(lab):
    lab.task(3)
    assert lab.run().code == 0
    for name, text in (("torn", '{"schema_version": 1, "sta'), ("later", json.dumps({"schema_version": 99}))):
        folder = lab.path / "results" / name
        folder.mkdir()
        (folder / "run.json").write_text(text)
    run = lab.run("--lmms-resume")
    assert run.code == 0, run
    assert sum(lab.asked().values()) == 3
