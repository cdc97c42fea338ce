"""Answers that are asked for again and again, kept as bytes until what they tell has changed: a layer of its own."""

from __future__ import annotations

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pytest_lmms.server.guard import App, Message, Receive, Send

MAX_KEPT = 256
"""Answers; the ones that were asked for longest ago make room."""
MAX_BODY_BYTES = 256_000
"""Of an answer that is kept."""
LOOK_SECONDS = 1.0
"""How often the files behind an answer are looked at, at most. They say how far a job is; its state is news at once."""
AGAIN = "pytest_lmms.again"
"""Name of an extension of ASGI: takes a function that answers the same request later, or says that it cannot."""


class Answer(NamedTuple):
    """What is sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    text: bytes
    """Headers and body as they are sent, after a status line and before nothing."""


@dataclass
class _Kept:
    version: object
    files: dict[Path, int]
    etag: bytes
    whole: Answer
    not_modified: Answer
    looked: float = field(default_factory=time.monotonic)

    def answer(self, shown: bytes) -> Answer:
        """To a client that shows these tags."""
        return self.not_modified if self.etag in shown else self.whole


class Polls:
    """Answers GET requests of many clients that wait for the same news.

    An answer is made by the application, kept with its entity tag, and given again as long as `version` is what it was
    and no file behind it has changed. A client that shows the tag gets 304 and no body.
    """

    def __init__(
        self, app: App, *, version: Callable[[], object], watched: Callable[[str], tuple[Path, ...] | None]
    ) -> None:
        """Wrap an application.

        Args:
            app: What answers.
            version: Another value after each change of what is kept in memory or in the database.
            watched: Files whose change makes the answer to a path another one; None for a path that is not kept.
        """
        self._app = app
        self._version = version
        self._watched = watched
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        is_plain = scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]
        kept = self._kept.get(scope["path"]) if is_plain else None
        if kept is None or not self._is_true(kept):
            files = self._watched(scope["path"]) if is_plain else None
            if files is None:
                await self._app(scope, receive, send)
                return
            kept = await self._made(scope, receive, send, files)
        if kept is not None:
            shown = next((value for name, value in scope["headers"] if name == b"if-none-match"), b"")
            if remember := scope.get("extensions", {}).get(AGAIN):
                remember(partial(self._again, scope["path"], shown))
            answer = kept.answer(shown)
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})

    def _again(self, path: str, shown: bytes) -> Answer | None:
        kept = self._kept.get(path)
        return None if kept is None or not self._is_true(kept) else kept.answer(shown)

    def _is_true(self, kept: _Kept) -> bool:
        if kept.version != self._version():
            return False
        now = time.monotonic()
        if now - kept.looked < LOOK_SECONDS:
            return True
        if kept.files != _changes(kept.files):
            return False
        kept.looked = now
        return True

    async def _made(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, files: Iterable[Path]
    ) -> _Kept | None:
        """What the application answers, kept; None where that is no success, which has then been sent."""
        version, changes = self._version(), _changes(files)  # before: what changes meanwhile is news
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, collect)
        body = b"".join(m.get("body", b"") for m in messages)
        if messages[0]["status"] != 200 or len(body) > MAX_BODY_BYTES:
            for message in messages:
                await send(message)
            return None
        etag = b'"' + hashlib.blake2b(body, digest_size=12).hexdigest().encode() + b'"'
        headers = [(b"etag", etag), (b"cache-control", b"no-cache")]
        sized = [*headers, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        kept = _Kept(version, changes, etag, _answer(200, sized, body), _answer(304, headers))
        self._kept[scope["path"]] = kept
        self._kept.move_to_end(scope["path"])
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return kept


def _changes(files: Iterable[Path]) -> dict[Path, int]:
    """When each was changed last; 0 for one that is not there."""
    found = {}
    for file in files:
        try:
            found[file] = os.stat(file).st_mtime_ns
        except OSError:
            found[file] = 0
    return found


def _answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> Answer:
    lines = [b"%b: %b\r\n" % header for header in headers]
    return Answer(status, headers, body, b"".join((*lines, b"\r\n", body)))
