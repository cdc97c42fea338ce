"""What servers send to clients that read it themselves: bounded, and from the server that was asked.

The clients of providers read bodies whole and follow redirects as they like. They take an HTTP client, of httpx or
httpx2, whose hooks these are. Knows no provider.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from pytest_lmms.jsonl import dumps

LONGEST_ANSWER_BYTES = 64 * 2**20
"""An answer of more is broken: one that never ends would fill the memory before its time is up."""
LONGEST_REFUSAL_BYTES = 2**20
"""More of what comes with a refusal is not read."""
ENCODINGS = ("gzip", "deflate")
"""A piece the transport has read unpacks to a thousand times its size at most; in others, or two, without bound."""


def hooks(most_bytes: float = LONGEST_ANSWER_BYTES) -> dict[str, list[Callable[[Any], Any]]]:
    """The `event_hooks` of a `Client`.

    Args:
        most_bytes: Of one answer, unpacked; infinite for what is read piece by piece.

    Returns:
        Hooks that ask for no encoding but those of `ENCODINGS`, and end an answer with an error of the transport that
        is encoded otherwise or too long. Of a refusal the beginning is read. A redirect to another server is not
        followed, also by clients that follow them: it is a refusal that says where it led.
    """

    def bound(response: Any) -> None:
        if _leads_elsewhere(response):
            response.close()
        else:
            _bound(response, most_bytes)

    return {"request": [_ask], "response": [bound]}


def async_hooks(most_bytes: float = LONGEST_ANSWER_BYTES) -> dict[str, list[Callable[[Any], Any]]]:
    """The `event_hooks` of an `AsyncClient`; see `hooks`."""

    async def ask(request: Any) -> None:
        _ask(request)

    async def bound(response: Any) -> None:
        if _leads_elsewhere(response):
            await response.aclose()
        else:
            _bound(response, most_bytes)

    return {"request": [ask], "response": [bound]}


def is_same_server(old: Any, new: Any) -> bool:
    """Tell whether two addresses have one host and port; from http to https of a host counts."""
    has_turned_secure = (old.scheme, new.scheme) == ("http", "https") and old.port is None and new.port is None
    return old.host == new.host and (has_turned_secure or (old.scheme, old.port) == (new.scheme, new.port))


def encoding_of(response: Any) -> str:
    """How an answer is packed, in small letters; ``identity`` if it is not."""
    return str(response.headers.get("content-encoding", "identity")).strip().lower()


def _ask(request: Any) -> None:
    request.headers["Accept-Encoding"] = ", ".join(ENCODINGS)


def _bound(response: Any, most_bytes: float) -> None:
    """Replace an answer's ways of reading, which all the others read by."""
    limit = _Limit(response, most_bytes)
    read, aread = response.iter_bytes, response.aiter_bytes

    def iter_bytes(chunk_size: int | None = None) -> Iterator[bytes]:
        for piece in read(chunk_size):
            is_last = limit.is_reached(piece)
            yield piece
            if is_last:
                break
        response.close()

    async def aiter_bytes(chunk_size: int | None = None) -> AsyncIterator[bytes]:
        async with contextlib.aclosing(aread(chunk_size)) as pieces:
            async for piece in pieces:
                is_last = limit.is_reached(piece)
                yield piece
                if is_last:
                    break
        await response.aclose()

    response.iter_bytes, response.aiter_bytes = iter_bytes, aiter_bytes


class _Limit:
    """How much of one answer is read."""

    def __init__(self, response: Any, most_bytes: float) -> None:
        """Look at the answer's head.

        Raises:
            httpx.RemoteProtocolError: It is encoded as nobody asked for.
        """
        self._package = _package_of(response)
        self._request = response.request
        if encoding_of(response) not in ("identity", *ENCODINGS):
            raise self._error(f"the answer is encoded as {encoding_of(response)[:80]!r}, which nobody asked for")
        self._is_refusal = response.status_code >= 300
        self._most = LONGEST_REFUSAL_BYTES if self._is_refusal else most_bytes
        self._num_bytes = 0

    def is_reached(self, piece: bytes) -> bool:
        """Count a piece, and tell whether it was the last one.

        Raises:
            httpx.RemoteProtocolError: It belongs to an answer that is too long.
        """
        self._num_bytes += len(piece)
        if self._num_bytes > self._most and not self._is_refusal:
            raise self._error(f"the answer is longer than {self._most / 2**20:g} MiB")
        return self._num_bytes > self._most

    def _error(self, what: str) -> Exception:
        error: Exception = self._package.RemoteProtocolError(what, request=self._request)
        return error


def _leads_elsewhere(response: Any) -> bool:
    """Whether an answer sends the client to another server; it then no longer does, and its body says where it did."""
    if not response.has_redirect_location:
        return False
    address = response.headers["location"]
    package = _package_of(response)
    with contextlib.suppress(package.InvalidURL):
        if is_same_server(response.request.url, response.request.url.join(address)):
            return False
    del response.headers["location"]
    told = {"error": {"message": f"sends requests on to {address[:1000]}"}}
    response._content = dumps(told)  # noqa: SLF001  (it has no other door)
    response.is_stream_consumed = True
    return True


def _package_of(response: Any) -> Any:
    return importlib.import_module(type(response).__module__.partition(".")[0])
