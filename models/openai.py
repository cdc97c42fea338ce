"""Models behind an OpenAI-compatible address: chat completions, streamed, many at a time."""

from __future__ import annotations

import asyncio
import email.utils
import os
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.media.encode import data_uri
from pytest_lmms.records import (
    FinishReason,
    MediaRef,
    Message,
    Request,
    Response,
    Timing,
    TokenCounts,
)

_BASE_URL_VARIABLES = ("OPENAI_API_BASE", "OPENAI_BASE_URL", "OPENAI_API_URL")
_KEY_VARIABLE = "OPENAI_API_KEY"
_REASONING_MODEL = re.compile(r"^(o1|o3|o4|gpt-5)")
"""Models that take `max_completion_tokens` and refuse temperature, top_p and stop."""
_WORTH_RETRYING = frozenset({408, 409, 425, 429})
_LONGEST_WAIT_SECONDS = 60.0
_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "filtered",
}


class _Secret:
    """Holds a key without showing it in tracebacks and logs."""

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"


@dataclass(kw_only=True)
class _Reply:
    """What arrived so far of one completion."""

    texts: list[str]
    refusals: list[str]
    reason: str | None = None
    usage: Any = None
    first: float | None = None
    last: float | None = None

    def add(self, delta: Any) -> None:
        """Take one piece; the first that says something, aloud or in thought, starts the clock."""
        spoken = getattr(delta, "content", None)
        refused = getattr(delta, "refusal", None)
        thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
        if spoken or refused or thought:
            self.last = time.perf_counter()
            self.first = self.first or self.last
        if spoken:
            self.texts.append(spoken)
        if refused:
            self.refusals.append(refused)


class OpenAIChat:
    """Asks a server that speaks OpenAI's chat completions.

    Images travel as data URIs, encoded off the event loop; web addresses are passed on. With
    streaming, `Timing.first_token_seconds` and `seconds_per_token` are what this client saw.
    Waiting between attempts is in no figure; a response that took several carries the flag
    ``retried``.

    A refusal by the provider's content filter is a response with `finish_reason` ``filtered``, not
    an error.
    """

    is_remote: ClassVar[bool] = True
    why_no_logprobs: ClassVar[str] = "chat APIs tell none for a text that is given to them"

    def __init__(
        self,
        model: str | None = None,
        *,
        pretrained: str | None = None,
        model_version: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 600.0,
        max_retries: int = 5,
        retry_backoff_s: float = 1.0,
        num_concurrent: int = 32,
        stream: bool = True,
        system_prompt: str | None = None,
        max_new_tokens: int = 1024,
    ) -> None:
        """Check the settings; nothing is opened yet.

        Args:
            model: The name that the server knows.
            pretrained: Another word for `model`.
            model_version: Another word for `model`.
            base_url: The server's address up to ``/v1``. None: the first of OPENAI_API_BASE,
                OPENAI_BASE_URL and OPENAI_API_URL that is set, else OpenAI's own.
            api_key: None: OPENAI_API_KEY. It appears in no identity, message or representation.
            timeout: Seconds that one attempt may take.
            max_retries: Attempts after the first, for failures that may pass: connection,
                time-out, 408, 409, 425, 429, 5xx.
            retry_backoff_s: Seconds before the second attempt; doubled each time up to 60, with a
                random factor from 0.5 to 1. A server's Retry-After is obeyed instead.
            num_concurrent: Requests in flight at once, at most.
            stream: Ask for the answer piece by piece; without it there is no time to first token.
            system_prompt: Said first, unless the request has a system message of its own.
            max_new_tokens: For requests that do not say how much to generate.

        Raises:
            UsageError: No or two different model names, no key, or an impossible number.
            ModelError: The package `openai` is missing.
        """
        self._model = _one_name({"model": model, "pretrained": pretrained, "model_version": model_version})
        self._key = _Secret(_find_key(api_key))
        self._base_url = base_url or next(
            (os.environ[name] for name in _BASE_URL_VARIABLES if os.environ.get(name)), None
        )
        for name, value, least in (
            ("timeout", timeout, 0.001),
            ("max_retries", max_retries, 0),
            ("num_concurrent", num_concurrent, 1),
        ):
            if value < least:
                raise UsageError(explain(f"{name}={value}", expected=f"at least {least}"))
        self.num_concurrent = int(num_concurrent)
        self._timeout = float(timeout)
        self._max_retries = int(max_retries)
        self._backoff = float(retry_backoff_s)
        self._stream = stream
        self._system_prompt = system_prompt
        self._max_new_tokens = max_new_tokens
        self._reasons = bool(_REASONING_MODEL.match(self._model.rpartition("/")[2]))
        sampling = {"temperature", "do_sample", "top_p", "until"}
        self.honours = frozenset({"max_new_tokens", "seed"} | (set() if self._reasons else sampling))
        self._client: Any = None
        try:
            import openai
        except ImportError as error:
            raise ModelError(explain("the package 'openai' is missing", remedy="pip install openai")) from error
        self._openai: Any = openai

    @property
    def identity(self) -> Mapping[str, Any]:
        """The server, the model and what this adapter adds to a request; no key."""
        return {
            "adapter": "OpenAIChat",
            "base_url": _without_password(self._base_url) if self._base_url else None,
            "model": self._model,
            "system_prompt": self._system_prompt,
            "max_new_tokens": self._max_new_tokens,
        }

    async def start(self) -> None:
        """Open the client on the loop where it will be used."""
        self._client = self._openai.AsyncOpenAI(
            api_key=self._key.value, base_url=self._base_url, timeout=self._timeout, max_retries=0
        )

    async def stop(self) -> None:
        """Close the client and its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def generate(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            MediaError: An image cannot be read.
            ModelError: `start` has not been called, the request holds what chat completions cannot
                carry, the server refused, or every attempt failed.
        """
        if self._client is None:
            raise ModelError(explain("the client is not open", remedy="await start() first"))
        arguments = await self._arguments(request)
        for attempt in range(self._max_retries + 1):
            started = time.perf_counter()
            try:
                reply = await self._ask(arguments)
            except self._openai.APIError as error:
                if _is_content_filter(error):
                    return Response(text="", finish_reason="filtered")
                if attempt == self._max_retries or not self._may_pass(error):
                    raise self._failure(error, attempt + 1) from None
                await asyncio.sleep(self._wait_seconds(error, attempt))
            else:
                return self._respond(reply, started, retried=attempt > 0)
        raise AssertionError("the last attempt returns or raises")

    # Asking

    async def _arguments(self, request: Request) -> dict[str, Any]:
        settings = request.generation
        limit = settings.max_new_tokens or self._max_new_tokens
        arguments: dict[str, Any] = {
            "model": self._model,
            "messages": await self._messages(request),
            "max_completion_tokens" if self._reasons else "max_tokens": limit,
        }
        if settings.seed is not None:
            arguments["seed"] = settings.seed + request.repeat
        if not self._reasons:
            greedy = settings.do_sample is False
            if greedy or settings.temperature is not None or not settings.do_sample:
                arguments["temperature"] = 0.0 if greedy else settings.temperature or 0.0
            if settings.top_p is not None:
                arguments["top_p"] = settings.top_p
            if settings.until:
                arguments["stop"] = list(settings.until)
        if self._stream:
            arguments |= {"stream": True, "stream_options": {"include_usage": True}}
        return arguments

    async def _messages(self, request: Request) -> list[dict[str, Any]]:
        messages = list(request.messages)
        if self._system_prompt and all(message.role != "system" for message in messages):
            messages.insert(0, Message(role="system", content=(self._system_prompt,)))
        translated = []
        for message in messages:
            content: Any = [await self._part(part) for part in message.content]
            if len(message.content) == 1 and isinstance(message.content[0], str):
                content = message.content[0]
            translated.append({"role": message.role, "content": content})
        return translated

    async def _part(self, part: str | MediaRef) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        if part.kind != "image":
            raise ModelError(
                explain(
                    f"this adapter cannot send {part.kind} to {self._model}",
                    expected="text and images",
                )
            )
        url = part.url or await asyncio.to_thread(data_uri, part)
        return {"type": "image_url", "image_url": {"url": url}}

    async def _ask(self, arguments: Mapping[str, Any]) -> _Reply:
        answer = await self._client.chat.completions.create(**arguments)
        reply = _Reply(texts=[], refusals=[])
        if not self._stream:
            choice = answer.choices[0]
            reply.add(choice.message)
            reply.reason, reply.usage = choice.finish_reason, answer.usage
            reply.first = None
            return reply
        problem = "the stream ended without a finish reason"
        try:
            async with answer:
                async for chunk in answer:
                    reply.usage = chunk.usage or reply.usage
                    for choice in chunk.choices[:1]:
                        reply.add(choice.delta)
                        reply.reason = choice.finish_reason or reply.reason
        except Exception as error:
            # The client names its own errors only until the first byte; later ones are httpx's.
            if not type(error).__module__.startswith("httpx"):
                raise
            problem = f"the stream broke off: {error}"
        if reply.reason is None:
            raise self._openai.APIConnectionError(message=problem, request=answer.response.request)
        return reply

    def _respond(self, reply: _Reply, started: float, *, retried: bool) -> Response:
        seconds = time.perf_counter() - started
        counts = _counts(reply.usage)
        first = per_token = None
        if reply.first is not None and reply.last is not None:
            first = reply.first - started
            if counts.output_tokens and counts.output_tokens > 1:
                per_token = (reply.last - reply.first) / (counts.output_tokens - 1)
        text = "".join(reply.texts)
        refused = bool(reply.refusals) and not text
        return Response(
            text="".join(reply.refusals) if refused else text,
            finish_reason="filtered" if refused else _REASONS.get(reply.reason or "", "stop"),
            tokens=counts,
            timing=Timing(
                seconds=seconds,
                first_token_seconds=first,
                seconds_per_token=per_token,
                source="client",
            ),
            flags=("retried",) if retried else (),
        )

    # Failing

    def _may_pass(self, error: Any) -> bool:
        """Whether asking again may succeed."""
        if isinstance(error, self._openai.APIConnectionError):
            return True
        if getattr(error, "code", None) == "insufficient_quota":
            return False
        status = getattr(error, "status_code", None)
        if status is None:
            return True  # An error event inside a stream that had begun well.
        return status in _WORTH_RETRYING or status >= 500

    def _wait_seconds(self, error: Any, attempt: int) -> float:
        said = _retry_after_seconds(getattr(error, "response", None))
        if said is not None:
            return min(said, self._timeout)
        longest = min(self._backoff * 2.0**attempt, _LONGEST_WAIT_SECONDS)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing

    def _failure(self, error: Any, num_attempts: int) -> ModelError:
        status = getattr(error, "status_code", None)
        said = str(error).replace(self._key.value, "***")[:500]
        attempts = f" after {num_attempts} attempts" if num_attempts > 1 else ""
        server = _without_password(str(self._client.base_url)) if self._client else "the server"
        remedies = {
            401: f"check the key: api_key or {_KEY_VARIABLE}",
            403: f"check what the key may do: api_key or {_KEY_VARIABLE}",
            404: "check base_url and model",
        }
        kind = type(error).__name__ if status is None else f"HTTP {status}"
        return ModelError(
            explain(
                f"{kind}{attempts}: {said}",
                where=f"{self._model} at {server}",
                remedy=remedies.get(status) if status is not None else "check base_url: is it up?",
            )
        )


def _one_name(said: Mapping[str, str | None]) -> str:
    names = {str(value) for value in said.values() if value}
    if len(names) != 1:
        given = ", ".join(f"{name}={value}" for name, value in said.items() if value)
        raise UsageError(
            explain(
                f"several model names: {given}" if names else "this model needs a name",
                where="model",
                expected="one of model, pretrained and model_version",
                remedy=None if names else "add: --lmms-model-args model=<name that the server knows>",
            )
        )
    return names.pop()


def _find_key(api_key: str | None) -> str:
    key = api_key or os.environ.get(_KEY_VARIABLE)
    if not key:
        raise UsageError(
            explain(
                "no API key",
                where="api_key",
                remedy=f"set {_KEY_VARIABLE}, or pass api_key=...; any text will do for a server that asks for none",
            )
        )
    return str(key)


def _without_password(url: str) -> str:
    """Leave out ``user:password@`` and the query, which may hold keys."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _counts(usage: Any) -> TokenCounts:
    if usage is None:
        return TokenCounts()
    details = getattr(usage, "completion_tokens_details", None)
    return TokenCounts(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        reasoning_tokens=getattr(details, "reasoning_tokens", None),
    )


def _is_content_filter(error: Any) -> bool:
    return getattr(error, "code", None) in ("content_filter", "content_policy_violation")


def _retry_after_seconds(response: Any) -> float | None:
    """Read Retry-After: seconds or a date; also OpenAI's ``retry-after-ms``."""
    headers = getattr(response, "headers", {})
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        said = headers.get(name)
        if said is None:
            continue
        try:
            return max(0.0, float(said) * unit)
        except ValueError:
            pass
        try:
            moment = email.utils.parsedate_to_datetime(said)
        except ValueError:
            continue
        return max(0.0, moment.timestamp() - time.time())
    return None
