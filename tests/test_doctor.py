"""What works on this machine."""

from __future__ import annotations

import json
import socket
import threading
from importlib.metadata import version

import pytest

from pytest_lmms import doctor
from pytest_lmms.doctor import Part, _try


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_what_is_installed_works_and_is_told_with_its_version(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "PARTS", doctor.PARTS[:4])
    assert doctor.main() == 0
    said = capsys.readouterr().out
    for name in ("pytest", "pytest-xdist", "datasets"):
        assert f"works    {name} {version(name)}" in said
    assert f"works    {version('pytest-lmms')} at " in said


def test_something_that_is_always_needed_and_broken_is_exit_code_1(monkeypatch):
    monkeypatch.setattr(doctor, "PARTS", (doctor.PARTS[0]._replace(code="raise OSError('half installed')"),))
    assert doctor.main() == 1


def test_a_library_that_is_not_there_names_its_extra():
    found = _try(Part("x", "import no_such_library", "local"))
    assert (found.state, found.remedy) == ("missing", 'pip install "pytest-lmms[local]"')


def test_a_library_that_breaks_or_kills_is_a_line_with_the_reason():
    assert (
        _try(Part("x", "raise OSError('libavutil.so.58: cannot open')", None)).detail == "libavutil.so.58: cannot open"
    )
    found = _try(Part("x", "import os, signal; os.kill(os.getpid(), signal.SIGABRT)", "lance"))
    assert found.state == "broken"
    assert "signal 6" in found.detail


def test_an_accelerator_that_is_not_there_is_no_fault():
    assert _try(Part("x", "assert False, 'torch sees no GPU'", None))[1:3] == ("off", "torch sees no GPU")


def test_keys_are_told_by_name_and_never_shown(monkeypatch):
    monkeypatch.setattr(doctor, "PARTS", doctor.PARTS[:1])
    found = list(doctor.examine({"OPENAI_API_KEY": "sk-canary", "HF_HUB_OFFLINE": "1"}))
    assert "sk-canary" not in json.dumps(found)
    assert ("OPENAI_API_KEY", "works", "is set", "") in found
    assert ("Hugging Face Hub", "off") in [f[:2] for f in found]


def test_every_extra_is_looked_at():
    import re
    from pathlib import Path

    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", section, re.MULTILINE)) - {"dev", "all", "docs"}
    assert extras <= {part.extra for part in doctor.PARTS}


def test_a_hub_works_when_it_answers(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert doctor._hub({"HF_ENDPOINT": address})[1:] == ("works", address, "")
    found = doctor._hub({"HF_ENDPOINT": address})
    assert (found.state, found.detail) == ("off", f"{address} does not answer: ConnectError")
    assert "--lmms-data mini" in found.remedy


def test_an_engine_that_brings_its_own_torch_is_not_put_beside_ours():
    assert "environment of its own" in _try(Part("x", "import no_such_library", "vllm")).remedy
