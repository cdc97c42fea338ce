"""Judges as task files see them: `get_server(name, config)` and what it returns, by lmms-eval's names."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.llm_judge import calls
from pytest_lmms.llm_judge.protocol import Request, Response, ServerConfig
from pytest_lmms.llm_judge.wording import RUBRIC, JudgePromptBuilder, ResponseParser
from pytest_lmms.records import Generation, MediaRef, Message, Part, Role
from pytest_lmms.records import Request as ModelRequest

LOCAL_URL = "http://localhost:8000/v1/chat/completions"
_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


class ServerInterface:
    """A judge. Nothing is opened before it is asked, so that a key is needed only then."""

    def __init__(self, config: ServerConfig | None = None, *, api_type: str = "openai") -> None:
        """Take what is asked, and how.

        Args:
            config: lmms-eval's default model without one.
            api_type: One of `calls.API_TYPES`.
        """
        self.config = config or ServerConfig(model_name="gpt-4")
        self.api_type = api_type

    def check(self) -> None:
        """Tell whether it could be asked.

        Raises:
            UsageError: An unknown kind, or a key or an address is missing.
        """
        calls.check(self.api_type, self._arguments(self.config))

    def is_available(self) -> bool:
        """Whether it could be asked."""
        try:
            self.check()
        except Exception:  # noqa: BLE001 (whatever an adapter finds missing)
            return False
        return True

    def prepare_messages(self, request: Request) -> list[dict[str, Any]]:
        """The request's messages, after the system prompt if they bring none."""
        config = request.config or self.config
        has_own = any(message.get("role") == "system" for message in request.messages)
        system = [] if has_own or not config.system_prompt else [{"role": "system", "content": config.system_prompt}]
        return [*system, *request.messages]

    def evaluate(self, request: Request) -> Response:
        """Ask, and wait for the reply.

        Raises:
            LmmsError: It failed for good, or the provider refused.
        """
        config = request.config or self.config
        if self.api_type == "dummy" and calls.PANEL.chosen is None:
            return Response(content="dummy", model_used="dummy", usage="dummy", raw_response="dummy")
        asked = ModelRequest(
            task="llm_judge", doc_id=0, messages=_messages(self.prepare_messages(request), request.images or ()),
            generation=_generation(config),
        )  # fmt: skip
        arguments = self._arguments(config)
        adapter = calls.API_TYPES[self.api_type]
        name, reply = calls.PANEL.ask(f"{self.api_type}:{config.model_name}", adapter, arguments, asked)
        return Response(reply.text.strip(), name.partition(":")[2] or name, _usage(reply), reply)

    @staticmethod
    def _arguments_of_local() -> dict[str, Any]:
        return {"base_url": os.environ.get("LLM_JUDGE_URL", LOCAL_URL), "api_key": "none"}

    def _arguments(self, config: ServerConfig) -> dict[str, Any]:
        if self.api_type == "dummy":
            return {}
        of_local = self._arguments_of_local() if self.api_type == "local" else {}
        return {
            "model": config.model_name, "max_retries": max(0, config.num_retries - 1),
            "retry_backoff_s": float(config.retry_delay), "num_concurrent": config.max_concurrent, **of_local,
            **calls.unsaid_arguments(self.api_type, os.environ),
        }  # fmt: skip

    # --- questions of a kind -----------------------------------------------------------------------------------

    def evaluate_binary(
        self, question: str, answer: str, prediction: str, output_format: str = "0/1",
        custom_prompt: str | None = None, **kwargs: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Ask whether a response is right: `result`, with what was asked and said."""
        prompt = JudgePromptBuilder.build_binary_prompt(
            question, answer, prediction, output_format, custom_prompt, **kwargs
        )
        reply = self.evaluate(Request([_user(prompt)], question=question, answer=answer, prediction=prediction))
        return _told(prompt, reply, result=ResponseParser.parse_binary_response(reply.content, output_format))

    def evaluate_comparative(  # noqa: PLR0917 (lmms-eval's)
        self, question: str, response1: str, response2: str, context: str | None = None,
        score_range: tuple[float, float] = (1, 10), custom_prompt: str | None = None,
        images: Sequence[Any] | None = None, **kwargs: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Ask for ratings of two responses: `scores`, with what was asked and said."""
        prompt = JudgePromptBuilder.build_comparative_prompt(
            question, response1, response2, context, score_range, custom_prompt, **kwargs
        )
        reply = self.evaluate(Request([_user(prompt)], images=images, question=question))
        return _told(prompt, reply, scores=ResponseParser.parse_comparative_response(reply.content))

    def evaluate_with_rubric(
        self, question: str, prediction: str, rubric: Mapping[str, Any], **_: Any
    ) -> dict[str, Any]:
        """Ask for a rating by each item: `scores`, with what was asked and said."""
        items = "\n".join(f"- {name}: {text}" for name, text in rubric.items())
        prompt = RUBRIC.format(question=question, prediction=prediction, rubric=items)
        reply = self.evaluate(Request([_user(prompt)]))
        return _told(prompt, reply, scores=ResponseParser.parse_json_response(reply.content))

    # --- the same, for code with an event loop -------------------------------------------------------------------

    async def evaluate_async(self, request: Request) -> Response:
        """As `evaluate`."""
        return await asyncio.to_thread(self.evaluate, request)

    async def evaluate_batch(self, requests: Sequence[Request]) -> list[Response]:
        """As `evaluate`, for several at once."""
        return list(await asyncio.gather(*(self.evaluate_async(request) for request in requests)))

    async def evaluate_binary_async(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As `evaluate_binary`."""
        return await asyncio.to_thread(self.evaluate_binary, *args, **kwargs)

    async def evaluate_binary_batch_async(
        self, questions: Sequence[str], answers: Sequence[str], predictions: Sequence[str], *args: Any, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """As `evaluate_binary`, for several at once."""
        rows = zip(questions, answers, predictions, strict=True)
        return list(await asyncio.gather(*(self.evaluate_binary_async(*row, *args, **kwargs) for row in rows)))

    async def evaluate_comparative_async(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As `evaluate_comparative`."""
        return await asyncio.to_thread(self.evaluate_comparative, *args, **kwargs)

    async def evaluate_with_rubric_async(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As `evaluate_with_rubric`."""
        return await asyncio.to_thread(self.evaluate_with_rubric, *args, **kwargs)


AsyncServerInterface = ServerInterface


class ProviderFactory:
    """Makes judges by kind."""

    @classmethod
    def create_provider(cls, api_type: str | None = None, config: ServerConfig | None = None) -> ServerInterface:
        """Make one; without a kind, that of the variable API_TYPE.

        Raises:
            ValueError: An unknown kind.
        """
        kind = (api_type or os.environ.get("API_TYPE") or "openai").lower()
        if kind not in calls.API_TYPES:
            raise ValueError(f"no judge of kind {kind!r}; expected one of {', '.join(calls.API_TYPES)}")
        return ServerInterface(config, api_type=kind)


def get_server(server_name: str | None = None, config: ServerConfig | None = None) -> ServerInterface:
    """Make a judge of a kind.

    Raises:
        ValueError: An unknown kind.
    """
    return ProviderFactory.create_provider(api_type=server_name, config=config)


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _told(prompt: str, reply: Response, **more: Any) -> dict[str, Any]:
    said = {"raw_response": reply.content, "model": reply.model_used, "prompt": prompt, "success": reply.success}
    return {**more, **said}


def _usage(reply: Any) -> dict[str, int] | None:
    counts = reply.tokens
    if counts.input_tokens is None or counts.output_tokens is None:
        return None
    total = counts.input_tokens + counts.output_tokens
    return {"prompt_tokens": counts.input_tokens, "completion_tokens": counts.output_tokens, "total_tokens": total}


def _generation(config: ServerConfig) -> Generation:
    extra = {"response_format": {"type": "json_object"}} if config.response_format == "json" else {}
    return Generation(
        max_new_tokens=config.max_tokens, temperature=config.temperature, top_p=config.top_p,
        do_sample=config.temperature > 0, extra=extra,
    )  # fmt: skip


def _messages(messages: Sequence[Mapping[str, Any]], images: Sequence[Any]) -> tuple[Message, ...]:
    """Chat completions' messages as ours, images after the last user message's own parts."""
    last_user = max((n for n, message in enumerate(messages) if message["role"] == "user"), default=-1)
    found = []
    for number, message in enumerate(messages):
        content = message["content"]
        parts: list[Part] = [content] if isinstance(content, str) else [_part(part) for part in content]
        parts += [_image(image) for image in images] if number == last_user else []
        found.append(Message(role=_ROLES.get(message["role"], "user"), content=tuple(parts)))
    return tuple(found)


def _part(part: Any) -> Part:
    if isinstance(part, str):
        return part
    if part.get("type") == "image_url":
        address = part["image_url"]
        url = address["url"] if isinstance(address, Mapping) else address
        head, comma, data = url.partition(",")
        if head.startswith("data:") and comma:
            return MediaRef(kind="image", data=base64.b64decode(data))
        return MediaRef(kind="image", url=url)
    return str(part.get("text", ""))


def _image(image: Any) -> MediaRef:
    if isinstance(image, str):
        return MediaRef(kind="image", path=image)
    if isinstance(image, bytes):
        return MediaRef(kind="image", data=base64.b64decode(image))
    return MediaRef(kind="image", content=image)
