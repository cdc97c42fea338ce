"""Sending one request after the other through OpenAI's client, whose own work on each is more than all of ours.

The client writes a request: address, key, headers, time limits. All that are sent are copies with another body, over
the same transport; errors are the client's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
from typing import Any

from pytest_lmms.httpbounds import ENCODINGS, LONGEST_REFUSAL_BYTES, encoding_of, is_same_server

from ._chat_stream import BrokenReplyError

MOST_REDIRECTS = 5
_OF_ONE_REQUEST = ("content-length", "idempotency-key", "accept-encoding")
"""Headers that the next request cannot have, and the one that says which encodings the transport's packages know."""


class _WrittenError(Exception):
    """Ends the client's sending: what it has written is sent by the `Poster`."""


class Poster:
    """Posts JSON to one path."""

    def __init__(self, openai: Any, client: Any, transport: Any, path: str, *, stream: bool) -> None:
        """Take a client.

        Args:
            openai: The package.
            client: Its client, which retries nothing itself.
            transport: The HTTP client that it was given.
            path: After the client's base URL.
            stream: Whether answers come piece by piece.
        """
        self._openai = openai
        self._client = client
        self._transport = transport
        self._path = path
        self._stream = stream
        self._template: tuple[Any, Any, Any, dict[str, Any]] | None = None
        """(the transport's package, address, headers, extensions) of every request."""
        self._writing = asyncio.Lock()

    async def post(self, content: bytes) -> Any:
        """Send bytes, and return the transport's own response, unread.

        Redirects are followed on the same server only: another one is to get neither documents nor keys.

        Raises:
            openai.APIError: The server refused, or could not be reached.
            BrokenReplyError: The answer is encoded as nobody asked for.
        """
        if self._template is None:
            async with self._writing:
                self._template = self._template or await self._written()
        package, url, headers, extensions = self._template
        request = package.Request("POST", url, headers=headers, content=content, extensions=dict(extensions))
        try:
            answer = await self._send(request)
            if answer.status_code >= 300:
                raise await self._refusal(answer, package)
        except package.TimeoutException as error:
            raise self._openai.APITimeoutError(request=request) from error
        except package.HTTPError as error:
            raise self._openai.APIConnectionError(request=request) from error
        return answer

    async def _send(self, request: Any) -> Any:
        answer = await self._transport.send(request, stream=True, follow_redirects=False)
        for _ in range(MOST_REDIRECTS):
            following = answer.next_request
            if following is None or not is_same_server(request.url, following.url):
                break
            await answer.aclose()
            answer = await self._transport.send(following, stream=True, follow_redirects=False)
        encoding = encoding_of(answer)
        if encoding not in ("identity", *ENCODINGS):
            await answer.aclose()
            raise BrokenReplyError(f"the answer is encoded as {encoding[:80]!r}, which nobody asked for")
        return answer

    async def _written(self) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Have the client write a request, which is not sent."""
        written = []

        async def keep(request: Any) -> None:
            written.append(_template(request))
            raise _WrittenError

        hooks = self._transport.event_hooks
        self._transport.event_hooks = {**hooks, "request": [*hooks["request"], keep]}
        try:
            await self._client.post(
                self._path,
                content=b"{}",
                cast_to=_transport_response(),
                stream=self._stream,
                stream_cls=self._openai.AsyncStream[object] if self._stream else None,
                options={"headers": {"Content-Type": "application/json"}},
            )
        except (_WrittenError, self._openai.APIConnectionError):  # some clients wrap whatever is raised
            if not written:
                raise
        finally:
            self._transport.event_hooks = hooks
        return written[0]

    async def _refusal(self, answer: Any, package: Any) -> Exception:
        """The client's error for a status, with what the server said."""
        told = bytearray()
        with contextlib.suppress(package.HTTPError):  # a refusal that breaks off is one all the same
            async with contextlib.aclosing(answer.aiter_bytes()) as chunks:
                async for chunk in chunks:
                    told += chunk[:LONGEST_REFUSAL_BYTES]
                    if len(told) >= LONGEST_REFUSAL_BYTES:
                        break
        await answer.aclose()
        whole = told.decode(errors="replace")
        text, body = f"Error code: {answer.status_code}", None
        try:
            value = json.loads(whole)
        except (ValueError, RecursionError):
            pass
        else:
            body = value.get("error", value) if isinstance(value, dict) else value
            said = body.get("message") if isinstance(body, dict) else None
            said = said if isinstance(said, str) and said else whole  # FastAPI's refusals say `detail`
            text += f" - {said[:10_000]}" if said else ""  # shown shorter: a key is not to be cut before it is hidden
        if answer.next_request is not None:
            text += f" - sends requests on to {answer.next_request.url}"
        error: Exception = self._openai.APIStatusError(text, response=answer, body=body)
        return error


def _template(request: Any) -> tuple[Any, Any, Any, dict[str, Any]]:
    package = importlib.import_module(type(request).__module__.partition(".")[0])
    kept = [(name, value) for name, value in request.headers.raw if name.decode().lower() not in _OF_ONE_REQUEST]
    headers = package.Headers([*kept, ("Accept-Encoding", ", ".join(ENCODINGS))])
    return package, request.url, headers, dict(request.extensions)


def _transport_response() -> Any:
    """The class of the responses of the client's transport: httpx2's, of older clients httpx's."""
    try:
        from httpx2 import Response
    except ImportError:
        from httpx import Response  # type: ignore[assignment]
    return Response
