"""Gemini models behind Google's API, through its own client."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import httpx

from pytest_lmms import httpbounds
from pytest_lmms.errors import ModelError, explain
from pytest_lmms.inference.message_formats import MediaSettings, arguments_of, image_uri, video_frames
from pytest_lmms.jsonl import dumps
from pytest_lmms.records import FinishReason, MediaRef, Message, Request, Response, TokenCounts, ToolCall

from ._attempt import Clock
from ._remote import RemoteChat

_REASONS: Mapping[str, FinishReason] = {
    "STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "filtered", "RECITATION": "filtered", "BLOCKLIST": "filtered",
    "PROHIBITED_CONTENT": "filtered", "SPII": "filtered", "IMAGE_SAFETY": "filtered",
}  # fmt: skip


@dataclass(kw_only=True, eq=False, repr=False)
class GeminiChat(RemoteChat):
    """Asks Gemini. Images, sounds and videos travel inside the request; addresses are passed on."""

    takes_tools: ClassVar[bool] = True
    honours = frozenset({"max_new_tokens", "temperature", "do_sample", "top_p", "top_k", "until", "seed"})
    key_variables: ClassVar[tuple[str, ...]] = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
    base_url_variables: ClassVar[tuple[str, ...]] = ("GOOGLE_GEMINI_BASE_URL",)

    thinking_tokens: int | None = None
    """How many tokens the model may think; 0: none; None: its own default."""
    pass_video_url: bool = True
    """Send videos whole. Without it, their frames."""

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            UsageError: See `RemoteChat`.
            ModelError: The package `google-genai` is missing.
        """
        super().__post_init__()
        try:
            from google import genai
        except ImportError as error:
            remedy = "pip install 'pytest-lmms[gemini]'"
            raise ModelError(explain("the package 'google-genai' is missing", remedy=remedy)) from error
        self._genai: Any = genai
        self._media = replace(self._media, pass_video_url=self.pass_video_url)

    @property
    def identity(self) -> Mapping[str, Any]:
        """As that of `RemoteChat`, with thinking and videos."""
        return {**super().identity, "thinking_tokens": self.thinking_tokens, "whole_videos": self.pass_video_url}

    def _open(self) -> Any:
        options: dict[str, Any] = {"timeout": int(self.timeout * 1000), "retry_options": {"attempts": 1}}
        self._transport = httpx.AsyncClient(
            timeout=self.timeout, event_hooks=httpbounds.async_hooks(), follow_redirects=False
        )
        options["httpx_async_client"] = self._transport
        if self._headers:
            options["headers"] = self._headers
        if self._base_url:
            options["base_url"] = self._base_url
        return self._genai.Client(api_key=self._key.value, http_options=options).aio

    async def stop(self) -> None:
        """Close the client and its connections."""
        client, self._client = self._client, None
        close = getattr(client, "aclose", None)
        if close is not None:
            await close()
            await self._transport.aclose()

    def _prepare(self, request: Request) -> dict[str, Any]:
        said = self._with_system(request.messages)
        contents = _contents(said, self._media)
        settings = request.generation
        config: dict[str, Any] = {"max_output_tokens": settings.max_new_tokens or self.max_new_tokens}
        system = "\n\n".join(part for m in said if m.role == "system" for part in m.content if isinstance(part, str))
        if system:
            config["system_instruction"] = system
        if not settings.samples:
            config["temperature"] = 0.0
        elif settings.temperature is not None:
            config["temperature"] = settings.temperature
        if settings.seed is not None:
            config["seed"] = settings.seed + request.repeat
        config |= {n: v for n, v in (("top_p", settings.top_p), ("top_k", settings.top_k)) if v is not None}
        if settings.until:
            config["stop_sequences"] = list(settings.until)
        if request.tools:
            functions = [
                {
                    "name": tool["name"],
                    "description": tool.get("description"),
                    "parameters_json_schema": tool["parameters"],
                }
                for tool in request.tools
            ]
            config["tools"] = [{"function_declarations": functions}]
        if self.thinking_tokens is not None:
            config["thinking_config"] = {"thinkingBudget": self.thinking_tokens}
        return {"model": self._name, "contents": contents, "config": config}

    async def _attempt(self, prepared: dict[str, Any], clock: Clock) -> tuple[Response, None]:
        texts: list[str] = []
        calls: list[ToolCall] = []
        usage: Any = None
        reason: str | None = None
        async for piece in self._pieces(prepared):
            usage = piece.usage_metadata or usage
            if piece.prompt_feedback is not None and piece.prompt_feedback.block_reason is not None:
                reason = "SAFETY"
            for candidate in (piece.candidates or ())[:1]:
                reason = candidate.finish_reason.name if candidate.finish_reason is not None else reason
                for part in (candidate.content.parts if candidate.content is not None else None) or ():
                    if (part.text or part.function_call) and self.stream:
                        clock.spoke()
                    if (call := part.function_call) is not None:
                        arguments = dumps(call.args or {}).decode()
                        calls.append(
                            ToolCall(id=call.id or f"call_{len(calls)}", name=call.name or "", arguments=arguments)
                        )
                    if part.text and not part.thought:
                        texts.append(part.text)
        if reason is None:
            raise ConnectionError("the answer ended without a finish reason")
        tokens = _counts(usage)
        response = Response(
            text="".join(texts),
            finish_reason=_REASONS.get(reason, "stop"),
            tokens=tokens,
            timing=clock.timing(tokens),
            tool_calls=tuple(calls),
        )
        return response, None

    async def _pieces(self, prepared: Mapping[str, Any]) -> Any:
        if not self.stream:
            yield await self._client.models.generate_content(**prepared)
            return
        async for piece in await self._client.models.generate_content_stream(**prepared):
            yield piece


def _contents(messages: Sequence[Message], media: MediaSettings) -> list[dict[str, Any]]:
    """Messages in Google's words: the results of all calls of a reply stand in one turn, in the order of the calls."""
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role == "system":
            continue
        names |= {call.id: call.name for call in message.tool_calls}
        parts = [wire for part in message.content for wire in _parts(part, media)]
        parts += [{"functionCall": {"name": call.name, "args": arguments_of(call)}} for call in message.tool_calls]
        if message.call_id is not None:
            text = "".join(part for part in message.content if isinstance(part, str))
            said = {"name": names.get(message.call_id, message.call_id), "response": {"result": text}}
            parts = [{"functionResponse": said}]
        role = "model" if message.role == "assistant" else "user"
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(part: str | MediaRef, media: MediaSettings) -> Iterator[dict[str, Any]]:
    """A part of a message in Google's words."""
    if isinstance(part, str):
        yield {"text": part}
    elif part.url:
        mime = mimetypes.guess_type(part.url)[0] or {"image": "image/jpeg", "audio": "audio/wav"}.get(part.kind)
        yield {"fileData": {"fileUri": part.url, "mimeType": mime or "video/mp4"}}
    elif part.kind == "image":
        yield _inline(image_uri(part, media))
    elif part.kind == "audio":
        from pytest_lmms.media.encode_audio import encode_audio_to_base64

        name, data = encode_audio_to_base64(part)
        yield {"inlineData": {"mimeType": f"audio/{name}", "data": base64.b64decode(data)}}
    elif media.pass_video_url and part.content is None:
        from pytest_lmms.media.encode import file_uri

        yield _inline(file_uri(part))
    else:
        yield from (_inline(frame) for frame, _ in video_frames(part, media))


def _inline(uri: str) -> dict[str, Any]:
    head, _, data = uri.partition(",")
    mime = head.removeprefix("data:").removesuffix(";base64")
    return {"inlineData": {"mimeType": mime, "data": base64.b64decode(data)}}


def _counts(usage: Any) -> TokenCounts:
    """Thoughts are output tokens here, as they are elsewhere."""
    if usage is None:
        return TokenCounts()
    spoken, thought = usage.candidates_token_count, usage.thoughts_token_count
    return TokenCounts(
        input_tokens=usage.prompt_token_count,
        output_tokens=None if spoken is None and thought is None else (spoken or 0) + (thought or 0),
        reasoning_tokens=thought,
        cached_tokens=usage.cached_content_token_count,
    )
