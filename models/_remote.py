"""What all adapters of remote models share: their arguments, their concurrency, their retries and their clocks.

A subclass opens its client, writes a request in its provider's words, makes one attempt, and says what an error means.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.inference.concurrency import Limiter
from pytest_lmms.inference.controllers import make_controller
from pytest_lmms.inference.message_formats import MediaSettings
from pytest_lmms.inference.retry import (
    OVERLOAD_STATUSES,
    Deadline,
    Failure,
    RetryPolicy,
    ask_until_answered,
    retry_after_seconds,
    worth_retrying,
)
from pytest_lmms.masks import Secrets, secrets_in
from pytest_lmms.media.encode import wanted_format, wanted_quality
from pytest_lmms.media.notes import collecting
from pytest_lmms.records import Message, Request, Response

from ._attempt import Clock, Secret, one_name, split_user, without_password

Attempt = Callable[[Any, Clock], Awaitable[tuple[Response, Any]]]

AHEAD = 8
"""Requests prepared while others are in flight, so that none waits for its pictures when its turn comes."""

_CLIENTS = frozenset({"openai", "anthropic", "litellm", "google", "httpx", "httpx2", "httpcore", "aiohttp"})
"""Packages whose errors without an HTTP status mean that the connection failed."""


@dataclass(kw_only=True, eq=False, repr=False)
class RemoteChat(ABC):
    """Asks a model behind an address.

    Pictures, videos and sounds are opened and encoded on threads when a request's turn comes, a few ahead of those in
    flight. Waiting between attempts is in no timing; a response that took several carries the flag ``retried``.
    A refusal by the provider's content filter is a response with `finish_reason` ``filtered``, not an error.
    """

    is_remote: ClassVar[bool] = True
    why_no_logprobs: ClassVar[str] = "chat APIs tell none for a text that is given to them"
    key_variables: ClassVar[tuple[str, ...]] = ()
    """Environment variables that may hold the key; the first that is set counts."""
    base_url_variables: ClassVar[tuple[str, ...]] = ()
    removed_arguments: ClassVar[Mapping[str, str]] = {
        "is_qwen3_vl": "message_format=qwen3_vl",
        "azure_openai": "--lmms-model azure_openai",
        "batch_size": "num_concurrent=N, the most requests in flight",
    }
    """Arguments that lmms-eval has or had, and what replaces them."""

    model: str | None = field(default=None, kw_only=False)
    """The name that the server knows."""
    pretrained: str | None = None
    """Another word for `model`."""
    model_version: str | None = None
    """Another word for `model`."""
    base_url: str | None = None
    """The server's address; ``user:password@`` in it is sent instead of the key, a query with every request. None: the
    first of `base_url_variables` that is set, else the provider's own."""
    api_key: str | None = None
    """None: the first of `key_variables` that is set. It appears in no identity, message or representation."""
    extra_headers: Mapping[str, str] | None = field(default=None)
    """Further headers of every request, for gateways; hidden like the key."""
    timeout: float = 600.0
    """Seconds that one attempt may take."""
    connect_timeout_s: float = 10.0
    """Seconds until a connection stands."""
    first_token_timeout_s: float | None = None
    """Seconds until the first token of a streamed answer; None: no less than `timeout`."""
    max_retries: int = 5
    """Attempts after the first, for failures that may pass."""
    retry_backoff_s: float = 1.0
    """Seconds before the second attempt; doubled each time up to 60, with a random factor from 0.5 to 1. What the
    server says in Retry-After is obeyed instead."""
    num_concurrent: int | None = None
    """The most requests in flight, and how many to begin with. None: begin with 32, go up to 256."""
    concurrency: str = "adaptive"
    """``adaptive``: fewer when the server refuses, more while it bears them; ``windowed``: lmms-eval's rules;
    ``fixed``: always `num_concurrent`, or 32."""
    adaptive_concurrency: bool | None = None
    """lmms-eval's switch: true is ``windowed``, false ``fixed``."""
    adaptive_min_concurrency: int | None = None
    """The fewest requests in flight (1)."""
    adaptive_max_concurrency: int | None = None
    """The most (``windowed``: 128)."""
    adaptive_target_latency_s: float | None = None
    """``windowed``: seconds that 95 % of the answers should take at most (15)."""
    adaptive_increase_step: float | None = None
    """``windowed``: share by which the limit grows (0.1)."""
    adaptive_decrease_factor: float | None = None
    """``windowed``: what the limit is multiplied by when it falls (0.7)."""
    adaptive_failure_threshold: float | None = None
    """``windowed``: share of failures that is too much (0.05)."""
    prefix_aware_queue: bool = True
    """Ask documents that begin alike one after the other, so that a server can use what it has cached."""
    prefix_hash_chars: int = 256
    """How much of the beginning counts, in characters; at least 32."""
    stream: bool = True
    """Take answers piece by piece; without it there is no time to first token."""
    system_prompt: str | None = None
    """Said first, unless the request has a system message of its own."""
    max_new_tokens: int = 1024
    """For requests that do not say how much to generate."""
    nframes: int = 64
    """Frames of a video, spread evenly."""
    max_frames_num: int | None = None
    """Another word for `nframes`."""
    fps: float | None = None
    """Frames a second of a video, instead of `nframes`."""
    video_fps: float | None = None
    """Another word for `fps`."""
    max_frames: int = 768
    """The most frames of a video, whatever `fps` says."""
    max_pixels: int | None = None
    """Frames of videos with more are made smaller."""
    max_image_size: int | None = None
    """Pixels: images and frames are made smaller until their longer side is at most this."""
    max_size_in_mb: float = 20.0
    """Images whose encoded file is larger are sent as smaller JPEG files, and the response says so."""
    image_format: str | None = None
    """PNG, JPEG or WEBP for every image. None: LMMS_IMAGE_ENCODE_FORMAT, else as the dataset stores it."""
    image_quality: int | None = None
    """1 to 100, of JPEG and WEBP. None: LMMS_IMAGE_JPEG_QUALITY, else 85."""

    def __post_init__(self) -> None:
        """Check the settings; nothing is opened yet.

        Raises:
            UsageError: No or two different model names, no key, an impossible number, or an unknown format of images.
        """
        self._name = one_name({n: getattr(self, n) for n in ("model", "pretrained", "model_version")})
        self._key = Secret(self._find_key(self.api_key))
        self.api_key = None
        said = (os.environ.get(name) for name in self.base_url_variables)
        self._base_url = self.base_url or next((url for url in said if url), None)
        said_in_address = list(secrets_in(self._base_url or ""))
        self._base_url, user = split_user(self._base_url) if self._base_url else (None, {})
        self._headers = {**user, **(self.extra_headers or {})}
        self._secrets = Secrets([self._key.value, *said_in_address, *secrets_in({"headers": self._headers})])
        """What messages must not repeat."""
        self.extra_headers = None
        for name, value, least in (
            ("timeout", self.timeout, 0.001),
            ("connect_timeout_s", self.connect_timeout_s, 0.001),
            ("max_retries", self.max_retries, 0),
            ("nframes", self.nframes, 1),
            ("prefix_hash_chars", self.prefix_hash_chars, 32),
        ):
            if not isinstance(value, (int, float)) or value < least:
                raise UsageError(explain(f"{name}={value}", expected=f"at least {least}"))
        self.limiter = Limiter(
            make_controller(
                self.concurrency,
                num_concurrent=self.num_concurrent,
                adaptive=self.adaptive_concurrency,
                least=self.adaptive_min_concurrency,
                most=self.adaptive_max_concurrency,
                target_latency_s=self.adaptive_target_latency_s,
                increase_step=self.adaptive_increase_step,
                decrease_factor=self.adaptive_decrease_factor,
                failure_threshold=self.adaptive_failure_threshold,
            )
        )
        self._policy = RetryPolicy(
            max_retries=int(self.max_retries),
            backoff_seconds=float(self.retry_backoff_s),
            longest_retry_after_seconds=float(self.timeout),
        )
        self._media = MediaSettings(
            num_frames=self.max_frames_num or self.nframes,
            fps=self.fps or self.video_fps,
            max_frames=self.max_frames,
            max_pixels=self.max_pixels,
            max_side_px=self.max_image_size,
            max_bytes=int(self.max_size_in_mb * 1_000_000),
            image_format=wanted_format(self.image_format),
            image_quality=wanted_quality(self.image_quality),
        )
        self._client: Any = None

    def _find_key(self, api_key: str | None) -> str:
        key = api_key or next((os.environ[n] for n in self.key_variables if os.environ.get(n)), None)
        if not key:
            raise UsageError(
                explain(
                    "no API key",
                    where="api_key",
                    remedy=f"set {' or '.join(self.key_variables)}, or pass api_key=...; any text will do for a "
                    "server that asks for none",
                )
            )
        return str(key)

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

    @property
    def identity(self) -> Mapping[str, Any]:
        """The server, the model and what this adapter adds to a request; no key."""
        media = self._media
        return {
            "adapter": type(self).__name__,
            "base_url": without_password(self._base_url) if self._base_url else None,
            "model": self._name,
            "system_prompt": self.system_prompt,
            "max_new_tokens": self.max_new_tokens,
            "media": [media.num_frames, media.fps, media.max_frames, media.max_pixels, media.max_bytes],
            "images": [media.image_format, media.image_quality],
            **({"max_image_size": media.max_side_px} if media.max_side_px else {}),
        }

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

    def _server(self) -> str:
        """The address in messages."""
        return without_password(self._base_url or "the provider's own address")

    def _with_system(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The messages, with this adapter's system prompt when they have none."""
        if self.system_prompt and all(message.role != "system" for message in messages):
            return (Message(role="system", content=(self.system_prompt,)), *messages)
        return messages

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
            key = f"api_key or {self.key_variables[0]}" if self.key_variables else "api_key"
            remedies = {
                401: f"check the key: {key}",
                403: f"check what the key may do: {key}",
                404: "check base_url and model",
            }
            is_spent = getattr(error, "code", None) == "insufficient_quota"
            headers = getattr(getattr(error, "response", None), "headers", None)
            return Failure(
                message=self._explain(f"HTTP {status}: {str(error)[:500]}", num_attempts, remedies.get(status)),
                may_pass=worth_retrying(status) and not is_spent,
                is_overload=status in OVERLOAD_STATUSES and not is_spent,
                retry_after_seconds=retry_after_seconds(headers),
            )
        is_network = type(error).__module__.partition(".")[0] in _CLIENTS or isinstance(error, OSError)
        is_late = isinstance(error, TimeoutError) or "Timeout" in type(error).__name__
        cause = f" ({error.__cause__})" if error.__cause__ is not None and str(error.__cause__) else ""
        what = f"{'time-out' if is_late else type(error).__name__}: {error}{cause}"
        remedy = "check base_url: is it up?" if is_network and type(error) is not TimeoutError else None
        message = self._explain(what, num_attempts, remedy)
        return Failure(message=message, may_pass=is_network or is_late, is_overload=is_network or is_late)


def _status(error: Exception) -> int | None:
    """The HTTP status of a client's error; google's calls it `code`."""
    for name in ("status_code", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int) and 100 <= status < 600:
            return status
    return None
