"""The lab of the plugin's tests: a folder with a task, a model that misbehaves when told to, and what runs leave."""

from __future__ import annotations

import pytest

from tests.chat_server import Server
from tests.plugin.conftest import write_task  # noqa: F401
from tests.plugin.run_helpers import lab  # noqa: F401

CANARY = "sk-canary-3f9c0d71b2"


@pytest.fixture
def server(monkeypatch):
    """A chat-completions server on loopback; the environment says where, and holds the canary as its key."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_URL"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    server.text = "A"
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture
def remote(lab):  # noqa: F811
    """The lab without a model of its own."""
    (lab.path / "conftest.py").unlink()
    return lab
