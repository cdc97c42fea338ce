"""A server for each test, and a slow model behind it."""

from __future__ import annotations

import pytest
from served import Served

from tests.chat_server import Server


class _Slow(list):
    """Every request waits before anything comes."""

    seconds = 0.4

    def __bool__(self):
        return True

    def pop(self, _=0):
        return {"silent": self.seconds}


@pytest.fixture
def serve(tmp_path):
    """Call it with arguments of `pytest-lmms serve`."""
    running = []

    def start(*arguments, env=None):
        running.append(Served(tmp_path, *arguments, env={"OPENAI_API_KEY": "none", **(env or {})}))
        return running[-1]

    yield start
    for each in running:
        each.kill()


@pytest.fixture
def slow_model():
    """A chat server that takes a while, and counts what it is asked."""
    server = Server()
    server.plan = _Slow()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture
def slow_arguments(slow_model):
    return {"model": "tiny", "base_url": slow_model.url, "num_concurrent": 1}
