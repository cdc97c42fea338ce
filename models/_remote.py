"""What all adapters of remote models do alike: their concurrency, their retries and their clocks.

A subclass opens its client, writes a request in its provider's words, makes one attempt, and says what an error means.
"""

from __future__ import annotations

import asyncio
import json
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pytest_lmms.errors import ModelError, explain
from pytest_lmms.inference.retry import (
    OVERLOAD_STATUSES,
    Deadline,
    Failure,
    ask_until_answered,
    retry_after_seconds,
    worth_retrying,
)
from pytest_lmms.media.notes import collecting
from pytest_lmms.records import Request, Response

from ._attempt import Clock
from ._remote_settings import RemoteSettings

Attempt = Callable[[Any, Clock], Awaitable[tuple[Response, Any]]]

AHEAD = 8
"""Requests prepared while others are in flight, so that none waits for its pictures when its turn comes."""

_CLIENTS = frozenset({"openai", "anthropic", "litellm", "google", "httpx", "httpx2", "httpcore", "aiohttp"})
"""Packages whose errors without an HTTP status mean that the connection failed."""


@dataclass(kw_only=True, eq=False, repr=False)
class RemoteChat(RemoteSettings, ABC):
    """Asks a model behind an address.

    Pictures, videos and sounds are opened and encoded on threads when a request's turn comes, a few ahead of those in
    flight. Waiting between attempts is in no timing; a response that took several carries the flag ``retried``.
    A refusal by the provider's content filter is a response with `finish_reason` ``filtered``, not an error.
    """

    # --- what the engine asks for ----------------------------------------------------------------------------------

    @property
    def admits(self) -> int:
        """How many requests it wants to have now: those in flight, and a few to prepare."""
        return self.limiter.controller.limit + AHEAD

    @property
    def admits_most(self) -> int:
        """The largest number that `admits` will be."""
        return self.limiter.controller.most + AHEAD

    @property
    def prefix_characters(self) -> int | None:
        """By how much of their beginning waiting requests are put in order; None keeps theirs."""
        return self.prefix_hash_chars if self.prefix_aware_queue else None

    def give_up(self) -> None:
        """Send nothing more; what is in flight may come."""
        self.limiter.close()

    async def start(self) -> None:
        """Open the client on the loop where it will be used."""
        self._client = self._open()

    async def stop(self) -> None:
        """Close the client and its connections."""
        client, self._client = self._client, None
        close = getattr(client, "close", None)
        if close is not None:
            await close()

    async def generate(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            MediaError: Media cannot be read.
            ModelError: `start` has not been called, the request holds what the provider cannot take, the server
                refused, or every attempt failed.
        """
        if self._client is None:
            raise ModelError(explain("the client is not open", remedy="await start() first"))
        prepare = self._prepare
        with collecting() as notes:
            prepared = await asyncio.to_thread(prepare, request) if request.media else prepare(request)
        response, _ = await self.ask(prepared)
        return replace(response, flags=tuple(dict.fromkeys((*response.flags, *notes)))) if notes else response

    async def ask(self, prepared: Any, attempt: Attempt | None = None) -> tuple[Response, Any]:
        """Ask until there is an answer, or there can be none.

        Args:
            prepared: What `_prepare` returned, or what `attempt` takes.
            attempt: Asks once; None: `_attempt`.

        Returns:
            The response, and what the attempt returned beside it.

        Raises:
            ModelError: The server refused, or every attempt failed.
        """
        (response, rest), num_attempts = await ask_until_answered(
            lambda: self._timed(prepared, attempt or self._attempt),
            self._failure,
            limiter=self.limiter,
            policy=self._policy,
        )
        if num_attempts > 1:
            response = replace(response, flags=(*response.flags, "retried"))
        return response, rest

    async def _timed(self, prepared: Any, attempt: Attempt) -> tuple[Response, Any]:
        clock = Clock()
        first = self.first_token_timeout_s if self.stream else None
        try:
            async with Deadline(min(first or self.timeout, self.timeout)) as deadline:
                clock.limit(deadline, self.timeout)
                return await attempt(prepared, clock)
        except TimeoutError:
            if deadline.is_over:
                what = "no token" if clock.first is None else "no complete answer"
                seconds = first if clock.first is None and first else self.timeout
                raise TimeoutError(f"{what} within {seconds:g} s") from None
            raise

    def _explain(self, what: str, num_attempts: int, remedy: str | None = None) -> str:
        attempts = f" after {num_attempts} attempts" if num_attempts > 1 else ""
        kind, _, rest = what.partition(":")
        text = kind + attempts + (f":{rest}" if rest else "")
        text = self._secrets.hide(text)
        return explain(text, where=f"{self._name} at {self._server()}", remedy=remedy)

    # --- what a provider's adapter says ------------------------------------------------------------------------------

    @abstractmethod
    def _open(self) -> Any:
        """Make the client; it retries nothing itself. Called on the loop."""

    @abstractmethod
    def _prepare(self, request: Request) -> Any:
        """Write a request in the provider's words; opens media, and runs on a thread when there are any."""

    @abstractmethod
    async def _attempt(self, prepared: Any, clock: Clock) -> tuple[Response, Any]:
        """Ask once; a refusal by a content filter is a response. Beside it, what the subclass wants to keep."""

    def _failure(self, error: Exception, num_attempts: int) -> Failure:
        """Say what an error of `_attempt` means: a status of HTTP, a time-out, a broken connection, or a bug."""
        status = _status(error)
        if status is not None:
            is_spent = getattr(error, "code", None) == "insufficient_quota"
            said = self._secrets.hide(str(error))[:500]  # a key that was cut would not be found
            headers = getattr(getattr(error, "response", None), "headers", None)
            return Failure(
                message=self._explain(f"HTTP {status}: {said}", num_attempts, self._remedy(status, str(error))),
                may_pass=worth_retrying(status) and not is_spent,
                is_overload=status in OVERLOAD_STATUSES and not is_spent,
                retry_after_seconds=retry_after_seconds(headers),
            )
        if isinstance(error, json.JSONDecodeError):  # of clients that do not name it
            return Failure(message=self._explain(f"broken reply: {error}", num_attempts), may_pass=True)
        is_network = type(error).__module__.partition(".")[0] in _CLIENTS or isinstance(error, OSError)
        is_late = isinstance(error, TimeoutError) or "Timeout" in type(error).__name__
        is_refused = any(isinstance(each, (ConnectionRefusedError, socket.gaierror)) for each in _causes(error))
        cause = str(error.__cause__ or "")
        what = f"{'time-out' if is_late else type(error).__name__}: {error}" + (f" ({cause})" if cause else "")
        if is_refused:
            what = f"no connection: {cause or error}"
        remedy = "check base_url: is it up?" if is_network and type(error) is not TimeoutError else None
        message = self._explain(what, num_attempts, remedy)
        return Failure(message=message, may_pass=is_network or is_late, is_overload=is_network or is_late)

    def _remedy(self, status: int, text: str) -> str | None:  # noqa: ARG002  (for those who read it)
        """What to do about an HTTP status, which came with a text."""
        if 300 <= status < 400:
            return "pass the address it names as base_url if you trust it: documents and keys go to no other server"
        key = f"api_key or {self.key_variables[0]}" if self.key_variables else "api_key"
        return {
            401: f"check the key: {key}",
            403: f"check what the key may do: {key}",
            404: "check base_url and model",
            405: "check base_url: a redirect, as from http to https, turns a question into a look-up",
            413: "send less: a smaller max_size_in_mb, max_image_size or nframes",
        }.get(status)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on: clients wrap what a transport says, which wraps the system's."""
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _status(error: Exception) -> int | None:
    """The HTTP status of a client's error; google's calls it `code`."""
    for name in ("status_code", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int) and 100 <= status < 600:
            return status
    return None
