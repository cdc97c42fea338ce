"""Chat completions, streamed, many at a time: what all who speak them share."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from pytest_lmms.errors import ModelError, explain
from pytest_lmms.inference.message_formats import message_format
from pytest_lmms.inference.retry import Failure, worth_retrying
from pytest_lmms.jsonl import dumps
from pytest_lmms.media.notes import collecting
from pytest_lmms.records import Generation, Request, Response, ToolCall

from ._attempt import Clock, mapping, split_query, without_password
from ._chat_post import Poster
from ._chat_stream import BrokenReplyError, ChatReply, RefusedError, read_all, read_stream, read_whole
from ._remote import RemoteChat
from ._tools import Tools, converse

_REASONING_MODEL = re.compile(r"^(o1|o3|o4|gpt-5)")
"""Models that take `max_completion_tokens` and refuse temperature, top_p and stop."""
_FILTERED = frozenset({"content_filter", "content_policy_violation"})
_PASSED_ON = ("frequency_penalty", "presence_penalty", "reasoning_effort", "response_format", "verbosity")
"""Generation settings of this API that the harness has no word for; tasks and users may say them."""
_PATH = "/chat/completions"

T = TypeVar("T")
Prepared = tuple[bytes, tuple[str, ...]]
"""The JSON of a request, and flags for its response."""


@dataclass(kw_only=True, eq=False, repr=False)
class ChatCompletions(RemoteChat):
    """Asks a server that speaks OpenAI's chat completions, through OpenAI's own client.

    The answer is read from the response's bytes: the client's models of every piece cost more than all the rest of
    a request. With the package `aiohttp`, connections are its; else httpx's.
    """

    takes_tools: ClassVar[bool] = True
    honours = frozenset({"max_new_tokens", "seed", "temperature", "do_sample", "top_p", "until", *_PASSED_ON})
    key_variables: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)
    base_url_variables: ClassVar[tuple[str, ...]] = ("OPENAI_API_BASE", "OPENAI_BASE_URL", "OPENAI_API_URL")

    message_format: str = "openai"
    """``openai``, ``qwen3_vl`` (the time of each frame before it), or a registered one."""
    pass_video_url: bool = False
    """Send videos whole, as `video_url`: web addresses as they are, files inside a data URI."""
    reasoning_effort: str | None = None
    """How much a reasoning model thinks: ``minimal``, ``low``, ``medium``, ``high``, or what the server knows."""
    reasoning: bool | None = None
    """Whether the model takes `max_completion_tokens`, and neither temperature, top_p nor stop. None: by its name."""
    enable_thinking: bool | None = None
    """For servers that render chat templates (vLLM, SGLang): the template's switch."""
    extra_body: Mapping[str, Any] | None = None
    """Further keys of the request's JSON, as they are; null leaves one out that would be sent."""
    mcp_server_path: str | None = None
    """A script that serves tools (Model Context Protocol, on standard input and output)."""
    mcp_variables: str | Sequence[str] = ()
    """Names of the keys in the environment that this script gets, as `SEARCH_KEY`; several in a list, or with blanks
    between them. Others it does not get: a model says what it does."""
    max_turns: int = 5
    """How often a model may call tools before it has to answer."""
    httpx_trust_env: bool = True
    """Whether proxies and certificates of the environment are used."""

    def __post_init__(self) -> None:
        """Check the settings; nothing is opened yet.

        Raises:
            UsageError: See `RemoteChat`; an unknown message format.
            ModelError: The package `openai` is missing.
        """
        super().__post_init__()
        if self._base_url:
            address, mark, query = self._base_url.partition("?")
            self._base_url = address.rstrip("/").removesuffix(_PATH) + mark + query
        self.extra_body = mapping(self.extra_body, "extra_body")
        self._media = replace(self._media, pass_video_url=self.pass_video_url)
        self._write_messages = message_format(self.message_format)
        by_name = bool(_REASONING_MODEL.match(self._name.rpartition("/")[2]))
        self._reasons = by_name if self.reasoning is None else self.reasoning
        if self._reasons:
            self.honours = frozenset({"max_new_tokens", "seed", *_PASSED_ON})
        named = self.mcp_variables.split() if isinstance(self.mcp_variables, str) else self.mcp_variables
        self._tools = Tools(self.mcp_server_path, named) if self.mcp_server_path else None
        try:
            import openai
        except ImportError as error:
            raise ModelError(explain("the package 'openai' is missing", remedy="pip install openai")) from error
        self._openai: Any = openai

    @property
    def identity(self) -> Mapping[str, Any]:
        """The server, the model and what this adapter adds to a request; no key."""
        said = ("message_format", "pass_video_url", "reasoning_effort", "enable_thinking", "extra_body", "reasoning")
        added = {name: getattr(self, name) for name in (*said, "mcp_server_path")}
        switched_off = {name for name, value in added.items() if value is False and getattr(type(self), name) is None}
        return {**super().identity, **{name: v for name, v in added.items() if v or name in switched_off}}

    # --- the client --------------------------------------------------------------------------------------------------

    def _open(self) -> Any:
        return self._openai.AsyncOpenAI(api_key=self._key.value, **self._address(), **self._client_settings())

    async def start(self) -> None:
        """Open the client on the loop where it will be used."""
        self._transport: Any = None
        await super().start()
        if self._transport is not None:  # litellm brings its own
            self._poster: Poster = self._poster_of(_PATH, stream=self.stream)

    def _poster_of(self, path: str, *, stream: bool) -> Poster:
        return Poster(self._openai, self._client, self._transport, path, stream=stream)

    def _client_settings(self) -> dict[str, Any]:
        timeout = self._openai.Timeout(self.timeout, connect=self.connect_timeout_s)
        settings = {"timeout": timeout, "trust_env": self.httpx_trust_env}
        try:
            self._transport = self._openai.DefaultAioHttpClient(**settings)
        except (AttributeError, RuntimeError):  # an older client, or no aiohttp
            self._transport = self._openai.DefaultAsyncHttpxClient(**settings)
        return {"timeout": timeout, "max_retries": 0, "http_client": self._transport, "default_headers": self._headers}

    def _address(self) -> dict[str, Any]:
        if not self._base_url:
            return {"base_url": None}
        address, query = split_query(self._base_url)
        return {"base_url": address, "default_query": query}

    def _server(self) -> str:
        return without_password(str(self._client.base_url)) if self._client else super()._server()

    async def stop(self) -> None:
        """Close the client, its connections and the server of tools."""
        if self._tools is not None:
            await self._tools.stop()
        await super().stop()

    # --- asking ------------------------------------------------------------------------------------------------------

    async def generate(self, request: Request) -> Response:
        """Answer one request; with tools, after as many turns as it takes.

        Raises:
            MediaError: Media cannot be read.
            ModelError: See `RemoteChat.generate`; or the server of tools cannot be started.
        """
        if self._tools is None or self._client is None:
            return await super().generate(request)
        if request.tools:
            remedy = "leave mcp_server_path or tool_format=native out"
            raise ModelError(explain("the task has tools of its own", where="mcp_server_path", remedy=remedy))
        return await converse(self, self._tools, request, max_turns=self.max_turns)

    def _prepare(self, request: Request) -> Prepared:
        body, flags = self.body(request)
        return dumps(body), flags

    def body(self, request: Request) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The JSON of a request, and what is to be told of its media, which are opened for it."""
        with collecting() as flags:
            messages = self._write_messages(self._with_system(request.messages), self._media)
        return self._envelope(request, messages), tuple(flags)

    def _envelope(self, request: Request, messages: list[dict[str, Any]]) -> dict[str, Any]:
        tools = [{"type": "function", "function": dict(tool)} for tool in request.tools]
        said = {"model": self._name, "messages": messages, **({"tools": tools} if tools else {})}
        return {**said, **self._settings(request.generation, request.repeat)}

    def _settings(self, settings: Generation, repeat: int) -> dict[str, Any]:
        limit = settings.max_new_tokens or self.max_new_tokens
        said: dict[str, Any] = {"max_completion_tokens" if self._reasons else "max_tokens": limit}
        if settings.seed is not None:
            said["seed"] = settings.seed + repeat
        if not self._reasons:
            said["temperature"] = (settings.temperature or 0.0) if settings.do_sample is not False else 0.0
            if settings.do_sample and settings.temperature is None:
                del said["temperature"]  # sampling, at the server's own temperature
            if settings.top_p is not None:
                said["top_p"] = settings.top_p
            if settings.until:
                said["stop"] = list(settings.until)
        if self.reasoning_effort:
            said["reasoning_effort"] = self.reasoning_effort
        said |= {name: settings.extra[name] for name in _PASSED_ON if name in settings.extra}
        if self.enable_thinking is not None:
            said["chat_template_kwargs"] = {"enable_thinking": self.enable_thinking}
        if self.stream:
            said |= {"stream": True, "stream_options": {"include_usage": True}}
        said |= mapping(self.extra_body, "extra_body")
        return {name: value for name, value in said.items() if value is not None}

    async def _attempt(self, prepared: Prepared, clock: Clock) -> tuple[Response, list[ToolCall]]:
        content, flags = prepared
        try:
            reply = await self._reply(content, clock)
        except (self._openai.APIError, RefusedError) as error:
            if getattr(error, "code", None) in _FILTERED:
                return Response(text="", finish_reason="filtered"), []
            raise
        return replace(respond(reply, clock), flags=flags), list(reply.tool_calls)

    async def _reply(self, content: bytes, clock: Clock) -> ChatReply:
        """Send a request's JSON, and read what comes."""

        async def read(answer: Any) -> ChatReply:
            if not self.stream or "event-stream" not in answer.headers.get("content-type", "").lower():
                return read_whole(await read_all(answer.aiter_bytes()))
            return await read_stream(answer.aiter_bytes(), clock.spoke)

        return await self._exchange(self._poster, content, read)

    async def _exchange(self, poster: Poster, content: bytes, read: Callable[[Any], Awaitable[T]]) -> T:
        """Post JSON and read the answer, whose connection is given back whatever happens."""
        answer = None
        try:
            answer = await poster.post(content)
            return await read(answer)
        except Exception as error:
            # The client names its own errors only until the first byte; later ones are the transport's.
            if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "aiohttp"):
                raise
            raise BrokenReplyError(f"the answer broke off: {type(error).__name__}: {error}") from error
        finally:
            if answer is not None:  # one that was given up would keep its connection from all others
                await answer.aclose()

    # --- failing -----------------------------------------------------------------------------------------------------

    def _failure(self, error: Exception, num_attempts: int) -> Failure:
        if isinstance(error, (BrokenReplyError, RefusedError)):
            code = getattr(error, "code", None)
            may_pass = code not in ("insufficient_quota", "invalid_request_error", "BadRequestError")
            if isinstance(code, int) and code in range(400, 500):
                may_pass = worth_retrying(code)
            return Failure(message=self._explain(f"broken reply: {error}", num_attempts), may_pass=may_pass)
        return super()._failure(error, num_attempts)

    def _remedy(self, status: int, text: str) -> str | None:
        if status in (400, 422):
            said = text.lower()
            if "max_completion_tokens" in said or ("temperature" in said and "support" in said):
                return "pass reasoning=true, if this is a reasoning model under another name"
            if "stream_options" in said:
                return 'pass extra_body={"stream_options": null}, which leaves it out'
        return super()._remedy(status, text)


def respond(reply: ChatReply, clock: Clock) -> Response:
    """A reply as a response."""
    tokens = reply.tokens
    return Response(
        text=reply.text,
        finish_reason=reply.finish_reason,
        tokens=tokens,
        timing=clock.timing(tokens),
        tool_calls=reply.tool_calls,
    )
