"""Conversations in which a chat model calls tools: ask, call, give the results back, ask again.

What a model writes as arguments is JSON, parsed and checked against the tool's schema; it is never evaluated. A wrong
call is told to the model, which may do better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_lmms.errors import ModelError
from pytest_lmms.inference.message_formats import call_as_sent
from pytest_lmms.jsonl import dumps, loads
from pytest_lmms.records import Request, Response, Timing, TokenCounts, ToolCall
from pytest_lmms.scoring.arguments import complaint

from ._mcp import McpServer

if TYPE_CHECKING:
    from ._chat_completions import ChatCompletions


class Tools:
    """The tools of one server, started with the first conversation."""

    def __init__(self, path: str, variables: Iterable[str] = ()) -> None:
        self._server = McpServer(path, variables)
        self._schemas: dict[str, Mapping[str, Any]] = {}
        self._offered: list[dict[str, Any]] | None = None
        self._starting = asyncio.Lock()

    async def offered(self) -> list[dict[str, Any]]:
        """The value of `tools` in a request."""
        async with self._starting:
            if self._offered is None:
                await self._server.start()
                tools = await self._server.tools()
                self._schemas = {t["name"]: t.get("inputSchema") or {} for t in tools}
                self._offered = [
                    {
                        "type": "function",
                        "function": {
                            "name": t["name"],
                            "description": t.get("description") or "",
                            "parameters": t.get("inputSchema") or {"type": "object"},
                        },
                    }
                    for t in tools
                ]
        return self._offered

    async def call(self, call: ToolCall) -> tuple[str, list[dict[str, Any]]]:
        """Do what the model wants.

        Returns:
            The text of the result, or what is wrong with the call; and the result's pictures, as `image_url` parts.
        """
        schema = self._schemas.get(call.name)
        if schema is None:
            return f"Error: there is no tool {call.name!r}; there are: {', '.join(sorted(self._schemas))}", []
        try:
            arguments = loads(call.arguments.encode() or b"{}")
        except ValueError as error:
            return f"Error: the arguments are no JSON: {error}", []
        if wrong := complaint(arguments, schema):
            return f"Error: {wrong}", []
        try:
            result = await self._server.call(call.name, arguments)
        except ModelError as error:
            return f"Error: {error}", []
        parts = [part for part in result.get("content") or () if isinstance(part, Mapping)]
        text = "\n".join(str(part.get("text") or "") for part in parts if part.get("type") == "text")
        images = [
            {"type": "image_url", "image_url": {"url": f"data:{part.get('mimeType')};base64,{part.get('data')}"}}
            for part in parts
            if part.get("type") == "image"
        ]
        return ("Error: " if result.get("isError") else "") + text, images

    async def stop(self) -> None:
        """End the server."""
        await self._server.stop()
        self._offered = None


async def converse(model: ChatCompletions, tools: Tools, request: Request, *, max_turns: int) -> Response:
    """Answer one request with the help of tools.

    Every call and every result stays in the conversation, under its id.

    Args:
        model: Asked.
        tools: What it may call.
        request: The question.
        max_turns: How often it may call. When it has not answered by then, the response is what it said last, with
            finish_reason ``length`` and the flag ``tool_turns_spent``.

    Raises:
        ModelError: See `ChatCompletions.generate`.
    """
    body, flags = await asyncio.to_thread(model.body, request)
    body["tools"] = await tools.offered()
    responses: list[Response] = []
    while True:
        response, calls = await model.ask((dumps(body), flags))
        responses.append(response)
        if not calls:
            return _joined(responses)
        if len(responses) > max_turns:
            flags = (*response.flags, "tool_turns_spent")
            return _joined([*responses[:-1], replace(response, finish_reason="length", flags=flags, tool_calls=())])
        body["messages"] = [*body["messages"], _said(response.text, calls), *await _results(tools, calls)]


def _said(text: str, calls: Sequence[ToolCall]) -> dict[str, Any]:
    return {"role": "assistant", "content": text or None, "tool_calls": [call_as_sent(call) for call in calls]}


async def _results(tools: Tools, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    results = await asyncio.gather(*(tools.call(call) for call in calls))
    messages: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": call.id, "content": text}
        for call, (text, _) in zip(calls, results, strict=True)
    ]
    images = [image for _, found in results for image in found]
    return [*messages, {"role": "user", "content": images}] if images else messages


def _joined(responses: Sequence[Response]) -> Response:
    """The last response, with the tokens and seconds of all."""
    last = responses[-1]
    if len(responses) == 1:
        return last

    def total(name: str) -> int | None:
        known = [n for r in responses if (n := getattr(r.tokens, name)) is not None]
        return sum(known) if known else None

    names = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens")
    timings = [r.timing for r in responses if r.timing is not None]
    timing = Timing(
        seconds=sum(t.seconds for t in timings), first_token_seconds=timings[0].first_token_seconds, source="client"
    )
    flags = tuple(dict.fromkeys(flag for r in responses for flag in r.flags))
    tokens = TokenCounts(**{name: total(name) for name in names})
    return replace(last, tokens=tokens, timing=timing if timings else None, flags=flags)
