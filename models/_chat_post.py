"""Sending one request after the other through OpenAI's client, whose own work on each is more than all of ours.

The client writes the first request: address, key, headers, time limits. Those after it are copies with another body,
sent over the same transport; errors are the client's own.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable
from typing import Any

_OF_ONE_REQUEST = ("content-length", "idempotency-key")
"""Headers that the next request cannot have."""


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
        """(the transport's package, address, headers, extensions) of the first request."""
        self._writing: asyncio.Event | None = None
        """While the client writes the first request; set when it has."""

    async def post(self, content: bytes) -> Any:
        """Send bytes, and return the transport's own response, unread.

        Raises:
            openai.APIError: The server refused, or could not be reached.
        """
        while self._template is None:
            if self._writing is None:
                return await self._by_client(content)
            await self._writing.wait()  # not for its answer: all who begin with it would be written by the client
        package, url, headers, extensions = self._template
        request = package.Request("POST", url, headers=headers, content=content, extensions=dict(extensions))
        try:
            answer = await self._transport.send(request, stream=True)
            if answer.status_code >= 300:
                await answer.aread()
        except package.TimeoutException as error:
            raise self._openai.APITimeoutError(request=request) from error
        except package.HTTPError as error:
            raise self._openai.APIConnectionError(request=request) from error
        if answer.status_code >= 300:
            raise self._refusal(answer)
        return answer

    async def _by_client(self, content: bytes) -> Any:
        """Have the client send a request, and keep what it has written as soon as it is written."""
        writing = self._writing = asyncio.Event()

        async def keep(request: Any) -> None:
            # What follows a redirect is another request, whose content cannot be read.
            if not writing.is_set() and request.content == content:
                self._template = _template(request)
                writing.set()

        self._set_hooks(lambda hooks: [*hooks, keep])
        try:
            return await self._client.post(
                self._path,
                content=content,
                cast_to=_transport_response(),
                stream=self._stream,
                stream_cls=self._openai.AsyncStream[object] if self._stream else None,
                options={"headers": {"Content-Type": "application/json"}},
            )
        except self._openai.APIStatusError as error:
            raise self._refusal(error.response) from error  # worded as all later ones
        finally:
            self._set_hooks(lambda hooks: [hook for hook in hooks if hook is not keep])
            self._writing = None
            writing.set()

    def _set_hooks(self, change: Callable[[list[Any]], list[Any]]) -> None:
        hooks = self._transport.event_hooks
        self._transport.event_hooks = {**hooks, "request": change(hooks["request"])}

    def _refusal(self, answer: Any) -> Exception:
        """The client's error for a status."""
        text, body = f"Error code: {answer.status_code}", None
        try:
            value = json.loads(answer.text)
        except (ValueError, RecursionError):
            pass
        else:
            body = value.get("error", value) if isinstance(value, dict) else value
            said = body.get("message") if isinstance(body, dict) else None
            said = said if isinstance(said, str) and said else answer.text  # FastAPI's refusals say `detail`
            text += f" - {said[:10_000]}" if said else ""  # shown shorter: a key is not to be cut before it is hidden
        error: Exception = self._openai.APIStatusError(text, response=answer, body=body)
        return error


def _template(request: Any) -> tuple[Any, Any, Any, dict[str, Any]]:
    package = importlib.import_module(type(request).__module__.partition(".")[0])
    kept = [(name, value) for name, value in request.headers.raw if name.decode().lower() not in _OF_ONE_REQUEST]
    return package, request.url, package.Headers(kept), dict(request.extensions)


def _transport_response() -> Any:
    """The class of the responses of the client's transport: httpx2's, of older clients httpx's."""
    try:
        from httpx2 import Response
    except ImportError:
        from httpx import Response  # type: ignore[assignment]
    return Response
