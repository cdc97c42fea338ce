"""Requests that come again, byte for byte, on a connection that is kept: a real server, and raw bytes."""

from __future__ import annotations

import asyncio
import re
import socket

import pytest

pytest.importorskip("fastapi")

import uvicorn

from pytest_lmms.server import polls
from pytest_lmms.server.again import RepeatedRequests
from pytest_lmms.server.guard import Guard
from pytest_lmms.server.polls import Polls

REQUEST = b"GET /jobs/1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Application:
    """Counts what is read (behind the parser) and what is made (behind the kept answers)."""

    def __init__(self):
        self.version = self.num_read = self.num_made = 0
        self.watched = ()
        self.layers = Guard(Polls(self.make, version=lambda: self.version, watched=lambda _: self.watched), token=None)

    async def __call__(self, scope, receive, send):
        self.num_read += 1
        await self.layers(scope, receive, send)

    async def make(self, scope, receive, send):
        self.num_made += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{scope['path']} {self.num_made}.".encode()})

    def answers(self, *pieces, keep_alive=30, until_hung_up=False):
        """What it says to bytes, or to a list of pieces; functions in between are called."""

        async def ask():
            listening = socket.create_server(("127.0.0.1", 0))
            config = uvicorn.Config(
                self, http=RepeatedRequests, log_level="critical", lifespan="off", timeout_keep_alive=keep_alive
            )
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            said = []
            for piece in pieces:
                if callable(piece):
                    piece()
                    continue
                for part in piece if isinstance(piece, list) else [piece]:
                    writer.write(part)
                    await asyncio.sleep(0.1)
                said.append((await asyncio.wait_for(reader.read(9999), 30)).decode())
            if until_hung_up:
                assert await asyncio.wait_for(reader.read(9999), 30) == b""
            writer.close()
            server.should_exit = True
            await serving
            return said

        return asyncio.run(ask())


@pytest.fixture
def served(monkeypatch):
    monkeypatch.setattr(polls, "LOOK_SECONDS", 0.0)
    return Application()


def without_date(text):
    return re.sub(r"date: [^\r]+\r\n", "", text)


def test_a_request_that_comes_again_is_answered_alike_without_being_read(served):
    first, *others = map(without_date, served.answers(*[REQUEST] * 4))
    assert others == [first] * 3
    assert first.startswith("HTTP/1.1 200 OK\r\nserver: uvicorn\r\netag: ")
    assert first.endswith("\r\n\r\n/jobs/1 1.")
    assert (served.num_read, served.num_made) == (1, 1)


def test_what_changed_meanwhile_is_told(served):
    def change():
        served.version += 1

    said = served.answers(REQUEST, REQUEST, change, REQUEST, REQUEST)
    assert [text[-2:] for text in said] == ["1.", "1.", "2.", "2."]
    assert served.num_read == 2


def test_a_file_that_changed_is_news_to_a_request_that_comes_again(served, tmp_path, monkeypatch):
    monkeypatch.setattr(polls, "LOOK_SECONDS", 0.05)  # each request here comes 0.1 s after the last
    progress = tmp_path / "progress.json"
    served.watched = (progress,)
    said = served.answers(REQUEST, REQUEST, lambda: progress.write_text("{}"), REQUEST, REQUEST)
    assert [text[-2:] for text in said] == ["1.", "1.", "2.", "2."]


def test_another_request_is_read_and_judged_for_itself(served):
    elsewhere = REQUEST.replace(b"jobs/1", b"jobs/2")
    stranger = REQUEST.replace(b"127.0.0.1", b"evil.example")
    said = served.answers(REQUEST, elsewhere, REQUEST, stranger, stranger, REQUEST)
    assert [text[9:12] for text in said] == ["200", "200", "200", "403", "403", "200"]
    assert ["/jobs/2" in text for text in said] == [False, True, False, False, False, False]
    assert served.num_read == 6


def test_a_client_that_shows_the_tag_again_is_told_again_that_nothing_changed(served):
    tag = re.search('etag: ("[^"]+")', served.answers(REQUEST)[0])[1]
    shown = REQUEST.replace(b"\r\n\r\n", f"\r\nIf-None-Match: {tag}\r\n\r\n".encode())
    assert [text[9:12] for text in served.answers(shown, shown, REQUEST)] == ["304", "304", "200"]


def test_pieces_and_several_at_once_are_answered_one_by_one(served):
    def count(text):
        return text.count("HTTP/1.1 200 OK")

    assert [count(text) for text in served.answers(REQUEST, REQUEST * 3, REQUEST * 3, REQUEST)] == [1, 3, 3, 1]


def test_a_request_that_comes_in_two_pieces_after_one_that_came_whole_is_read(served):
    said = served.answers(REQUEST, [REQUEST[:20], REQUEST[20:]], REQUEST, REQUEST)
    assert [text[-2:] for text in said] == ["1."] * 4
    assert served.num_read == 3


def test_a_connection_on_which_nobody_asks_any_more_is_hung_up(served):
    served.answers(REQUEST, REQUEST, keep_alive=1, until_hung_up=True)
