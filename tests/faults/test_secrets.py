"""A key shows nowhere: not in a file, a log, a traceback, a report or a process's title, wherever it was written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.faults.conftest import CANARY

ECHO = [{"status": 401, "message": f"Incorrect API key provided: {CANARY}"}] * 40
"""Servers that say a key back, as some do."""


def places_of(text: str, folder: Path, *, besides: tuple[str, ...] = ()) -> list[str]:
    """Files below a folder that hold a text, whatever they are."""
    files = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and p.name not in besides]
    return [str(path.relative_to(folder)) for path in files if text.encode() in path.read_bytes()]


def check(lab, run, *, besides=()):
    assert CANARY not in run.output, run
    assert places_of(CANARY, lab.path, besides=besides) == []


WRITTEN = ["--junitxml=junit.xml", "-rA", "--tb=long", "--showlocals", "-vv", "-o", "log_cli=true",
           "-o", "log_cli_level=DEBUG"]  # fmt: skip


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_a_key_of_the_environment_shows_nowhere_though_the_server_says_it_back(remote, server, workers):
    remote.task(3)
    server.plan = list(ECHO)
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", "model=m,max_retries=0", *WRITTEN, *workers)
    assert run.code == 1, run
    assert server.requests[0][1]["authorization"] == f"Bearer {CANARY}"
    check(remote, run)


def test_a_key_among_the_models_arguments_shows_nowhere(remote, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    remote.task(3)
    server.plan = [*ECHO[:2]]
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", f"model=m,api_key={CANARY}", *WRITTEN)
    assert server.requests[0][1]["authorization"] == f"Bearer {CANARY}", run
    check(remote, run)


def test_a_key_in_a_config_file_shows_nowhere_else(remote, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    remote.task(3)
    config = {"env": {"OPENAI_API_KEY": CANARY}, "model": "openai", "model_args": {"model": "m"}}
    (remote.path / "run.yaml").write_text(json.dumps(config))
    server.plan = [*ECHO[:2]]
    run = remote.run("--lmms-config", "run.yaml", *WRITTEN)
    assert server.requests[0][1]["authorization"] == f"Bearer {CANARY}", run
    check(remote, run, besides=("run.yaml",))


def test_a_password_in_a_base_url_shows_nowhere(remote, server, monkeypatch):
    remote.task(3)
    server.plan = [{"status": 400, "message": "no"}]
    address = server.url.replace("://", f"://name:{CANARY}@")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    monkeypatch.setenv("OPENAI_API_BASE", address)
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", "model=m,max_retries=0", *WRITTEN)
    assert "n_error" in (remote.run_path / "results.json").read_text(), run
    check(remote, run)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_key_of_the_environment_is_in_no_process_title(remote, server):
    remote.task(6)
    server.pause_seconds = 0.1
    titles = []
    process = remote.start("--lmms-model", "openai", "--lmms-model-args", "model=m", "-n", "2")
    done = threading.Event()

    def look():
        while not done.wait(0.05):
            listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False)
            titles.append(listing.stdout)

    thread = threading.Thread(target=look)
    thread.start()
    run = remote.finish(process)
    done.set()
    thread.join()
    assert run.code == 0, run
    assert titles
    assert not any(CANARY in title for title in titles)
    assert os.environ["OPENAI_API_KEY"] == CANARY
