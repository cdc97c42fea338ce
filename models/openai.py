"""Models behind an OpenAI-compatible address: chat completions, and log-probabilities where the server tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.jsonl import dumps
from pytest_lmms.media.notes import collecting
from pytest_lmms.records import Generation, Message, Request, Response

from ._attempt import Clock
from ._chat_completions import ChatCompletions
from ._chat_logprobs import WORDINGS, NoLogprobsError, Scored, Wording, read_scored, sum_of
from ._chat_stream import read_all
from ._memo import AsyncMemo

_NOTHING_ASKED = Generation()


@dataclass(kw_only=True, eq=False, repr=False)
class OpenAIChat(ChatCompletions):
    """As `ChatCompletions`, with `score`: two requests for the first continuation of a prompt, one for each other.

    The first asks how many tokens the prompt has; each continuation's tokens are those that come after as many.
    """

    logprobs_from: str = "chat"
    """``chat``: the prompt's log-probabilities that vLLM adds to a chat; ``completions``: those of a text that
    ``/completions`` echoes, for models without a chat template and tasks without media."""

    def __post_init__(self) -> None:
        """See `ChatCompletions`.

        Raises:
            UsageError: See `ChatCompletions`; an unknown `logprobs_from`.
        """
        super().__post_init__()
        if self.logprobs_from not in WORDINGS:
            expected = f"one of: {', '.join(WORDINGS)}"
            raise UsageError(explain(f"logprobs_from={self.logprobs_from}", expected=expected))
        self._wording: Wording = WORDINGS[self.logprobs_from]
        self._num_tokens: AsyncMemo[int] = AsyncMemo(most=4096)
        """Of prompts, by their JSON."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """As that of `ChatCompletions`, with where log-probabilities come from, unless it is the usual place."""
        said = {} if self.logprobs_from == "chat" else {"logprobs_from": self.logprobs_from}
        return {**super().identity, **said}

    async def start(self) -> None:
        """Open the client on the loop where it will be used."""
        await super().start()
        self._scorer = self._poster_of(self._wording.path, stream=False)

    async def why_not_score(self) -> str | None:
        """Ask the server for the log-probability of a word; see `ScoresWhereItIs`.

        Returns:
            Why it gives none; None when it does, and when it does not answer now, which says nothing about it.
        """
        message = Message(role="user", content=("Say yes.",))
        probe = Request(task="", doc_id=0, messages=(message,), generation=_NOTHING_ASKED, continuation=" yes")
        policy, self._policy = self._policy, replace(self._policy, max_retries=0)
        try:
            await self.score(probe)
        except ModelError as error:
            cause = error.__cause__
            is_answer = isinstance(cause, NoLogprobsError)
            may_pass = isinstance(cause, Exception) and not is_answer and self._failure(cause, 1).may_pass
            return None if may_pass else str(error)
        finally:
            self._policy = policy
        return None

    async def score(self, request: Request) -> Response:
        """Give the log-probability of a request's continuation after its prompt, as the server renders it.

        Raises:
            MediaError: Media cannot be read.
            ModelError: See `RemoteChat.generate`; or the server tells no log-probabilities, or its tokens of prompt and
                continuation are not the prompt's tokens with others after them.
        """
        prepare = self._prepare_score
        with collecting() as notes:
            prepared = await asyncio.to_thread(prepare, request) if request.media else prepare(request)
        prompt, whole = prepared
        num_before = await self._num_tokens.get(prompt, lambda: self._count(prompt))
        response, scored = await self.ask(whole, self._attempt_score)
        try:
            logprob, is_greedy = sum_of(scored.tokens, num_before, request.continuation or "")
        except NoLogprobsError as error:
            raise ModelError(self._explain(str(error), 1, error.remedy)) from error
        tokens = replace(response.tokens, input_tokens=num_before)
        flags = tuple(dict.fromkeys((*response.flags, *notes)))
        return replace(response, logprob=logprob, is_greedy=is_greedy, tokens=tokens, flags=flags)

    def _prepare_score(self, request: Request) -> tuple[bytes, bytes]:
        """The JSON that asks for a prompt, and the one that asks for it with the continuation."""
        said = {**self._settings(_NOTHING_ASKED, 0), "max_tokens": 1}
        for name in ("stream", "stream_options", "max_completion_tokens"):
            said.pop(name, None)
        messages = self._with_system(request.messages)
        prompt, whole = self._wording.write(messages, request.continuation or "", self._written)
        return dumps({"model": self._name, **said, **prompt}), dumps({"model": self._name, **said, **whole})

    def _written(self, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
        return self._write_messages(messages, self._media)

    async def _count(self, prompt: bytes) -> int:
        scored: Scored = (await self.ask(prompt, self._attempt_score))[1]
        return scored.num_prompt_tokens

    async def _attempt_score(self, content: bytes, clock: Clock) -> tuple[Response, Scored]:
        async def read(answer: Any) -> bytes:
            return await read_all(answer.aiter_bytes())

        scored = read_scored(await self._exchange(self._scorer, content, read))
        return Response(text="", timing=clock.timing(scored.counts), tokens=scored.counts), scored


@dataclass(kw_only=True, eq=False, repr=False)
class AsyncOpenAIChat(OpenAIChat):
    """As `OpenAIChat`, with the settings that lmms-eval's `async_openai` has beyond its `openai`."""

    max_pixels: int | None = 151200
    """Frames of videos with more are made smaller."""
    min_pixels: int = 784
    """Frames of videos with fewer are made larger; never above `max_pixels`."""
    num_cpus: int | None = None
    """lmms-eval's first number of requests in flight."""
    work_dir: str | None = None
    """lmms-eval's folder for the images of requests with tools. Refused: no image is written to a file here."""

    def __post_init__(self) -> None:
        """See `OpenAIChat`; `num_cpus` is where `num_concurrent` begins.

        Raises:
            UsageError: See `OpenAIChat`; or `work_dir` is given.
        """
        if self.work_dir is not None:
            text = "images are not written to files here, so that nothing would be in it"
            raise UsageError(explain(text, where=f"work_dir={self.work_dir}", remedy="leave work_dir out"))
        self.num_concurrent = self.num_concurrent or self.num_cpus
        super().__post_init__()
        self._media = replace(self._media, min_pixels=min(self.min_pixels, self.max_pixels or self.min_pixels))

    @property
    def identity(self) -> Mapping[str, Any]:
        """As that of `OpenAIChat`, with the least number of pixels."""
        return {**super().identity, "min_pixels": self.min_pixels}
