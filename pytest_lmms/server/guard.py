"""Who may talk to the server, and how much at once: one layer around all endpoints."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from pytest_lmms.server.policy import is_loopback

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 1_000_000
OPEN_PATHS = frozenset({"/", "/health", "/session"})
"""Answered without a token: a page without data, whether the server lives, and where the token is shown."""
COOKIE = "lmms_token"


class TooLarge(Exception):
    """A body that grew beyond the limit while it was read."""


class Guard:
    """Refuses requests of strangers before an endpoint sees them.

    Without a token only this machine can connect; there, a page of another site that a browser shows must not reach
    the server either: `Host` has to be this machine, `Origin` the server itself, and a body JSON.
    """

    def __init__(self, app: App, *, token: str | None, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        """Wrap an application.

        Args:
            app: What answers.
            token: What `Authorization: Bearer` has to say; None leaves the choice to `Host`.
            max_body_bytes: Of one request.
        """
        self._app = app
        self._token = token
        self._max = max_body_bytes

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        problem = self._problem(scope, headers)
        if problem is not None:
            await _refuse(send, *problem)
            return
        size = 0
        is_refused = False

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max:
                raise TooLarge
            return message

        async def noted(message: Message) -> None:
            """Whatever an endpoint says of a body that was cut off, this is why."""
            nonlocal is_refused
            if size <= self._max:
                await send(message)
            elif not is_refused:
                is_refused = True
                await _refuse(send, 413, self._expected())

        try:
            await self._app(scope, bounded, noted)
        except TooLarge:
            if not is_refused:
                await _refuse(send, 413, self._expected())

    def _expected(self) -> str:
        return f"a body of at most {self._max:,} bytes is expected"

    def _problem(self, scope: MutableMapping[str, Any], headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self._token is not None:
            given = headers.get("authorization", "").removeprefix("Bearer ").strip() or _cookie(headers)
            if scope["path"] not in OPEN_PATHS and not is_token(given, self._token):
                return 401, "an `Authorization: Bearer TOKEN` header with the server's token is expected"
        elif not is_loopback(_host_name(host)):
            return 403, "this server answers on this machine only: `Host` has to be 127.0.0.1 or localhost"
        origin = headers.get("origin")
        if origin not in (None, "null") and _place_of(origin) != host:
            return 403, "requests of other sites' pages are not answered"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self._max:
            return 413, self._expected()
        has_body = length != "0" or "transfer-encoding" in headers
        if has_body and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "a body has to be JSON: `Content-Type: application/json`"
        return None


def is_token(given: str, token: str) -> bool:
    """Whether it is the token, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode(), token.encode())


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # of brackets that do not close
        return ""


def _place_of(origin: str) -> str | None:
    """Host and port of an `Origin`."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


async def _refuse(send: Send, status: int, text: str) -> None:
    body = json.dumps({"detail": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
