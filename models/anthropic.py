"""Claude models behind Anthropic's messages API, through its own client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pytest_lmms import httpbounds
from pytest_lmms.errors import ModelError, explain
from pytest_lmms.inference.message_formats import MediaSettings, arguments_of, image_uri, video_frames
from pytest_lmms.inference.retry import Failure
from pytest_lmms.jsonl import dumps
from pytest_lmms.records import FinishReason, MediaRef, Message, Request, Response, TokenCounts, ToolCall

from ._attempt import Clock
from ._remote import RemoteChat

_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop", "stop_sequence": "stop", "tool_use": "stop", "pause_turn": "stop", "max_tokens": "length",
    "model_context_window_exceeded": "length", "refusal": "filtered",
}  # fmt: skip
_STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504,
    "overloaded_error": 529,
}  # fmt: skip
"""HTTP statuses of errors that come among the events, whose own status was 200."""


@dataclass(kw_only=True, eq=False, repr=False)
class AnthropicChat(RemoteChat):
    """Asks Claude. Images and the frames of videos travel; sounds cannot."""

    takes_tools: ClassVar[bool] = True
    honours = frozenset({"max_new_tokens", "temperature", "do_sample", "top_p", "top_k", "until"})
    key_variables: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY",)
    base_url_variables: ClassVar[tuple[str, ...]] = ("ANTHROPIC_BASE_URL",)

    thinking_tokens: int | None = None
    """How many tokens the model may think (at least 1024), on top of the answer's; None: as the model does unasked."""
    reasoning_effort: str | None = None
    """``low``, ``medium``, ``high`` or what else the model knows."""
    send_sampling: bool = True
    """Whether temperature, top_p and top_k are sent. Recent models refuse requests that hold them."""

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            UsageError: See `RemoteChat`.
            ModelError: The package `anthropic` is missing.
        """
        super().__post_init__()
        if not self.send_sampling or self.thinking_tokens:
            self.honours = frozenset({"max_new_tokens", "until"})
        try:
            import anthropic
        except ImportError as error:
            remedy = "pip install 'pytest-lmms[anthropic]'"
            raise ModelError(explain("the package 'anthropic' is missing", remedy=remedy)) from error
        self._anthropic: Any = anthropic

    @property
    def identity(self) -> Mapping[str, Any]:
        """As that of `RemoteChat`, with the thinking."""
        return {**super().identity, "thinking_tokens": self.thinking_tokens, "effort": self.reasoning_effort,
                "send_sampling": self.send_sampling}  # fmt: skip

    def _open(self) -> Any:
        timeout = self._anthropic.Timeout(self.timeout, connect=self.connect_timeout_s)
        return self._anthropic.AsyncAnthropic(
            api_key=self._key.value,
            base_url=self._base_url,
            timeout=timeout,
            max_retries=0,
            default_headers=self._headers,
            http_client=self._anthropic.DefaultAsyncHttpxClient(
                timeout=timeout, event_hooks=httpbounds.async_hooks(), follow_redirects=False
            ),
        )

    def _prepare(self, request: Request) -> dict[str, Any]:
        turns = self._with_system(request.messages)
        if self.thinking_tokens and any(m.tool_calls for m in turns):
            what = "the API wants the thoughts before a call back, which nobody keeps"
            remedy = "leave thinking_tokens out, or agentic_history=conversation"
            raise ModelError(explain(what, where="thinking_tokens", remedy=remedy))
        messages = _merged(turns, self._media)
        system = "\n\n".join(part for m in turns if m.role == "system" for part in m.content if isinstance(part, str))
        settings = request.generation
        limit = settings.max_new_tokens or self.max_new_tokens
        body: dict[str, Any] = {"model": self._name, "messages": messages, "max_tokens": limit}
        if system:
            body["system"] = system
        if request.tools:
            body["tools"] = [
                {"name": tool["name"], "description": tool.get("description") or "", "input_schema": tool["parameters"]}
                for tool in request.tools
            ]
        if settings.until:
            body["stop_sequences"] = list(settings.until)
        if self.reasoning_effort:
            body["output_config"] = {"effort": self.reasoning_effort}
        if self.thinking_tokens:  # then the API takes no temperature, and counts thoughts against the limit
            body["thinking"] = {"type": "enabled", "budget_tokens": self.thinking_tokens}
            body["max_tokens"] = limit + self.thinking_tokens
        elif self.send_sampling:
            sampling = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
            said = {name: value for name, value in sampling.items() if value is not None}
            # The client has lost its words for them; the API of older models has not.
            body["extra_body"] = said if settings.samples else {"temperature": 0.0}
        return body

    async def _attempt(self, prepared: dict[str, Any], clock: Clock) -> tuple[Response, None]:
        if self.stream:
            texts, calls, usage, reason = await self._streamed(prepared, clock)
        else:
            message = await self._client.messages.create(**prepared)
            texts = [block.text for block in message.content if block.type == "text"]
            calls = [
                ToolCall(id=block.id, name=block.name, arguments=dumps(block.input).decode())
                for block in message.content
                if block.type == "tool_use"
            ]
            usage, reason = message.usage.model_dump(), message.stop_reason
        tokens = _counts(usage)
        response = Response(
            text="".join(texts),
            finish_reason=_REASONS.get(reason or "", "stop"),
            tokens=tokens,
            timing=clock.timing(tokens),
            tool_calls=tuple(calls),
        )
        return response, None

    async def _streamed(
        self, prepared: Mapping[str, Any], clock: Clock
    ) -> tuple[list[str], list[ToolCall], dict[str, Any], str | None]:
        texts: list[str] = []
        calls: dict[int, ToolCall] = {}
        usage: dict[str, Any] = {}
        reason = None
        async for event in await self._client.messages.create(**prepared, stream=True):
            if event.type == "message_start":
                usage |= event.message.usage.model_dump()
            elif event.type == "content_block_start" and event.content_block.type == "tool_use":
                clock.spoke()
                calls[event.index] = ToolCall(id=event.content_block.id, name=event.content_block.name, arguments="")
            elif event.type == "content_block_delta":
                if event.delta.type in ("text_delta", "thinking_delta", "input_json_delta"):
                    clock.spoke()
                if event.delta.type == "text_delta":
                    texts.append(event.delta.text)
                elif event.delta.type == "input_json_delta" and event.index in calls:
                    call = calls[event.index]
                    calls[event.index] = replace(call, arguments=call.arguments + event.delta.partial_json)
            elif event.type == "message_delta":
                reason = event.delta.stop_reason or reason
                usage |= {k: v for k, v in event.usage.model_dump().items() if v is not None}
        if reason is None:
            raise ConnectionError("the stream ended without a stop reason")
        return texts, list(calls.values()), usage, reason

    def _failure(self, error: Exception, num_attempts: int) -> Failure:
        if (
            isinstance(error, self._anthropic.APIStatusError)
            and error.status_code < 300
            and isinstance(error.body, dict)
        ):
            kind = (error.body.get("error") or {}).get("type")
            error.status_code = _STATUSES.get(str(kind), 500)
        return super()._failure(error, num_attempts)


def _merged(turns: Sequence[Message], media: MediaSettings) -> list[dict[str, Any]]:
    """Messages in Anthropic's words: the results of all calls of a reply stand in one turn of the user."""
    merged: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "system":
            continue
        blocks = [block for part in turn.content for block in _blocks(part, media)]
        if turn.call_id is not None:
            blocks = [{"type": "tool_result", "tool_use_id": turn.call_id, "content": blocks}]
        blocks += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_of(call)}
            for call in turn.tool_calls
        ]
        role = "assistant" if turn.role == "assistant" else "user"
        if merged and merged[-1]["role"] == role:
            merged[-1]["content"] += blocks
        else:
            merged.append({"role": role, "content": blocks})
    return merged


def _blocks(part: str | MediaRef, media: MediaSettings) -> Iterator[dict[str, Any]]:
    """A part of a message in Anthropic's words."""
    if isinstance(part, str):
        if part.strip():  # the API refuses blank texts
            yield {"type": "text", "text": part}
    elif part.kind == "image":
        yield _image(part.url or image_uri(part, media))
    elif part.kind == "video":
        yield from (_image(frame) for frame, _ in video_frames(part, media))
    else:
        raise ModelError(explain(f"this adapter cannot send {part.kind}", expected="text, images and videos"))


def _image(url: str) -> dict[str, Any]:
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    head, _, data = url.partition(",")
    mime = head.removeprefix("data:").removesuffix(";base64")
    return {"type": "image", "source": {"type": "base64", "media_type": mime, "data": data}}


def _counts(usage: Mapping[str, Any]) -> TokenCounts:
    """Tokens that were read from a cache, or written to it, are input tokens here."""
    cached = usage.get("cache_read_input_tokens")
    parts = (usage.get("input_tokens"), cached, usage.get("cache_creation_input_tokens"))
    known = [part for part in parts if part is not None]
    details = usage.get("output_tokens_details") or {}
    return TokenCounts(
        input_tokens=sum(known) if known else None,
        output_tokens=usage.get("output_tokens"),
        reasoning_tokens=details.get("thinking_tokens"),
        cached_tokens=cached,
    )
