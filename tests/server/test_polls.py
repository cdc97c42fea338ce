"""Answers that are kept: the application is asked once, and nobody gets old news."""

from __future__ import annotations

import asyncio
import os

import httpx
import pytest

from pytest_lmms.server import polls
from pytest_lmms.server.polls import Polls


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """An application behind `Polls` that counts what it answers, and what changes its answers."""

    class Kept:
        def __init__(self):
            self.version, self.asked, self.status = 0, 0, 200
            self.file = tmp_path / "progress.json"
            self.layer = Polls(self.app, version=lambda: self.version, watched=self.watched)

        def watched(self, path):
            return (self.file,) if path.startswith("/jobs/") else None

        async def app(self, scope, receive, send):
            self.asked += 1
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"asked":%d}' % self.asked})

        def get(self, path="/jobs/1", **headers):
            async def run():
                transport = httpx.ASGITransport(app=self.layer)
                async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                    return await client.get(path, headers=headers)

            return asyncio.run(run())

    monkeypatch.setattr(polls, "LOOK_SECONDS", 0.0)
    return Kept()


def test_the_application_is_asked_once_for_the_same_news(kept):
    assert [kept.get().json()["asked"] for _ in range(5)] == [1] * 5
    assert kept.asked == 1


def test_a_change_of_state_or_of_a_file_is_told_at_once(kept):
    assert kept.get().json() == {"asked": 1}
    kept.version += 1
    assert kept.get().json() == {"asked": 2}
    kept.file.write_text("{}")
    assert kept.get().json() == {"asked": 3}
    os.utime(kept.file, ns=(1, 1))
    assert kept.get().json() == {"asked": 4}
    kept.file.unlink()
    assert kept.get().json() == {"asked": 5}


def test_a_client_that_shows_the_tag_gets_no_body_until_something_changed(kept):
    tag = kept.get().headers["etag"]
    again = kept.get(**{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    kept.version += 1
    assert kept.get(**{"If-None-Match": tag}).status_code == 200


def test_failures_and_other_paths_are_never_kept(kept):
    kept.status = 404
    assert [kept.get().status_code for _ in range(2)] == [404, 404]
    kept.status = 200
    assert kept.get().status_code == 200
    asked = kept.asked
    kept.get("/models")
    kept.get("/models")
    kept.get("/jobs/1?verbose=1")
    assert kept.asked == asked + 3


def test_what_changes_while_an_answer_is_made_is_not_lost(kept):
    make = kept.app

    async def slow(scope, receive, send):
        await make(scope, receive, send)
        kept.version += kept.asked == 1

    kept.layer = Polls(slow, version=lambda: kept.version, watched=kept.watched)
    assert kept.get().json() == {"asked": 1}
    assert kept.get().json() == {"asked": 2}
    assert kept.get().json() == {"asked": 2}


def test_answers_that_nobody_asked_for_lately_make_room(kept, monkeypatch):
    monkeypatch.setattr(polls, "MAX_KEPT", 2)
    for path in ("/jobs/1", "/jobs/2", "/jobs/3"):
        kept.get(path)
    kept.get("/jobs/3")
    kept.get("/jobs/1")
    assert kept.asked == 4
