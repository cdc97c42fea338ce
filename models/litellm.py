"""Models of any provider that LiteLLM knows, through its own client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pytest_lmms.errors import ModelError, explain
from pytest_lmms.records import Request, Response

from ._attempt import Clock
from ._chat_completions import ChatCompletions, respond
from ._chat_stream import BrokenReplyError, ChatReply, check_end

_NO_KEY = "none"


@dataclass(kw_only=True, eq=False, repr=False)
class LiteLLMChat(ChatCompletions):
    """Asks ``provider/model`` in the words of chat completions; LiteLLM translates.

    The key may be left out: LiteLLM looks for the provider's own variable.
    """

    key_variables: ClassVar[tuple[str, ...]] = ("LITELLM_API_KEY",)
    base_url_variables: ClassVar[tuple[str, ...]] = ("LITELLM_API_BASE",)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            UsageError: See `ChatCompletions`.
            ModelError: The package `litellm` is missing.
        """
        super().__post_init__()
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else its import asks the internet for prices
        try:
            import litellm
        except ImportError as error:
            remedy = "pip install 'pytest-lmms[litellm]'"
            raise ModelError(explain("the package 'litellm' is missing", remedy=remedy)) from error
        self._litellm: Any = litellm
        litellm.suppress_debug_info = True

    def _find_key(self, api_key: str | None) -> str:
        return str(api_key or os.environ.get(self.key_variables[0]) or _NO_KEY)

    def _open(self) -> Any:
        return self._litellm

    def _server(self) -> str:
        return super(ChatCompletions, self)._server()

    async def stop(self) -> None:
        """End the server of tools; connections are LiteLLM's own."""
        self._client, client = None, self._client
        close = getattr(client, "close_litellm_async_clients", None)
        if close is not None:
            await close()
        await super().stop()

    def _prepare(self, request: Request) -> Any:
        return self.body(request)

    async def _attempt(self, prepared: Any, clock: Clock) -> tuple[Response, list[Any]]:
        body, flags = prepared
        where: Mapping[str, Any] = {
            name: value
            for name, value in (("api_base", self._base_url), ("api_key", self._key.value))
            if value and value != _NO_KEY
        }
        where = {**where, "extra_headers": self._headers} if self._headers else where
        try:
            answer = await self._client.acompletion(
                **body, **where, timeout=self.timeout, num_retries=0, max_retries=0, drop_params=False
            )
            reply = await self._collected(answer, clock) if self.stream else _whole(answer)
        except self._litellm.ContentPolicyViolationError:
            return Response(text="", finish_reason="filtered", flags=flags), []
        return replace(respond(reply, clock), flags=flags), list(reply.tool_calls)

    async def _collected(self, answer: Any, clock: Clock) -> ChatReply:
        reply = ChatReply()
        async for chunk in answer:
            value = chunk.model_dump()
            reply.usage = value.get("usage") or reply.usage
            for choice in (value.get("choices") or ())[:1]:
                if reply.add(choice.get("delta") or {}):
                    clock.spoke()
                reply.reason = choice.get("finish_reason") or reply.reason
        # LiteLLM ends every stream with "stop", also one that the provider broke off; it keeps what came.
        told = getattr(answer, "received_finish_reason", reply.reason)
        if told is None:
            raise BrokenReplyError("the stream ended without a finish reason (a provider that says none: stream=false)")
        check_end(told)
        return reply


def _whole(answer: Any) -> ChatReply:
    value = answer.model_dump()
    if not value.get("choices"):
        raise BrokenReplyError("the server sent no choices")
    choice = value["choices"][0]
    reply = ChatReply(reason=choice.get("finish_reason"), usage=value.get("usage"))
    reply.add(choice.get("message") or {})
    return reply
