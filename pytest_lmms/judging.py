"""Judges beside the model under test: each an engine of its own, asked while documents are in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any

from pytest_lmms.errors import LmmsError, UnansweredError, explain
from pytest_lmms.inference.engine import Engine
from pytest_lmms.records import Generation, Message, Request, Response
from pytest_lmms.scoring.rubric import Rubric, VerdictError

ATTEMPTS = 3
"""How often a judge is asked for a reply that can be read."""
MAX_NEW_TOKENS = 1024
ENDED = "the judge's engine has ended"


@dataclass(frozen=True)
class Judge:
    """One judge."""

    name: str
    """As the user named it: `openai:gpt-4o`."""
    engine: Engine
    is_structured: bool = False
    """Whether its backend holds replies to a JSON schema."""


@dataclass(frozen=True)
class Judgement:
    """What judges said of one answer."""

    reply: str | list[str]
    """For the task's `judged`: one text, or one for each order."""
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    """For the record, one a judge and order: `judge`, `rubric`, `order`, `verdict`, `text`, `attempts`, tokens."""


class Judges:
    """All judges of a run."""

    def __init__(self, judges: Sequence[Judge]) -> None:
        """Take judges whose engines are started."""
        self.judges = tuple(judges)

    def stop(self) -> None:
        """Ask nothing more; what is in hand goes on. From any thread."""
        for judge in self.judges:
            judge.engine.stop()

    def close(self) -> None:
        """End every engine."""
        for judge in self.judges:
            judge.engine.close()

    async def judge(
        self, rubric: Rubric, document: Mapping[str, Any], known: Mapping[str, Any], *, task: str, doc_id: int
    ) -> Judgement:
        """Ask every judge, in every order, all at once.

        Args:
            rubric: Of the task.
            document: The dataset row.
            known: `response`, `target`, `input`.
            task: For messages and for the requests.
            doc_id: Likewise.

        Raises:
            LmmsError: A judge failed, gave no verdict, or as many say one thing as another.
            UnansweredError: The run was stopped first.
        """
        prompts = rubric.prompts(document, known)
        asked = [(judge, order) for order in range(len(prompts)) for judge in self.judges]
        said = await asyncio.gather(
            *(
                self._verdict(judge, rubric, prompts[order], order=order, task=task, doc_id=doc_id)
                for judge, order in asked
            ),
            return_exceptions=True,
        )
        for outcome in said:
            if isinstance(outcome, BaseException):
                raise outcome
        found = [entry for entry in said if not isinstance(entry, BaseException)]
        of_orders = [
            rubric.together([e["verdict"] for e, (_, order) in zip(found, asked, strict=True) if order == wanted])
            for wanted in range(len(prompts))
        ]
        if rubric.swap is not None and rubric.swap.keeps_both:
            return Judgement([rubric.as_reply(v) for v in of_orders], found)
        upright = [of_orders[0], *(rubric.turned_back(v) for v in of_orders[1:])]
        return Judgement(rubric.as_reply(rubric.together(upright, fractions=True)), found)

    @staticmethod
    async def _verdict(
        judge: Judge, rubric: Rubric, prompt: str, *, order: int, task: str, doc_id: int
    ) -> dict[str, Any]:
        messages = [Message(role="user", content=(prompt,))]
        if rubric.system:
            messages.insert(0, Message(role="system", content=(rubric.system,)))
        extra: dict[str, Any] = {}
        if judge.is_structured:
            schema = {"name": "verdict", "strict": True, "schema": rubric.schema}
            extra["response_format"] = {"type": "json_schema", "json_schema": schema}
        generation = Generation(max_new_tokens=MAX_NEW_TOKENS, temperature=0.0, do_sample=False, extra=extra)
        problem: VerdictError | None = None
        for attempt in range(1, ATTEMPTS + 1):
            request = Request(task=task, doc_id=doc_id, messages=tuple(messages), generation=generation)
            response = await ask(judge.engine, request)
            if response.finish_reason == "filtered":
                raise VerdictError(explain("the judge's provider refused", where=f"{judge.name}, {task}[{doc_id}]"))
            try:
                verdict = rubric.read(response.text)
            except VerdictError as e:
                problem = e
                again = f"That cannot be read ({str(e).splitlines()[0][:300]}). Reply with the JSON object alone."
                said = Message(role="assistant", content=(response.text[:2000] or "(nothing)",))
                messages = [*messages, said, Message(role="user", content=(again,))]
                continue
            return {
                "judge": judge.name, "rubric": rubric.name, "order": order, "verdict": verdict,
                "text": response.text, "attempts": attempt, "input_tokens": response.tokens.input_tokens,
                "output_tokens": response.tokens.output_tokens,
            }  # fmt: skip
        raise VerdictError(f"{judge.name}, {ATTEMPTS} times: {problem}")


async def ask(engine: Engine, request: Request) -> Response:
    """Have another loop's engine answer one request.

    Raises:
        LmmsError: The adapter failed.
        UnansweredError: The engine was stopped, or has ended.
    """
    waiting = asyncio.wrap_future(_submitted(engine, request))
    while not waiting.done():
        await asyncio.wait([waiting], timeout=1.0)
        if not engine.alive and not waiting.done():
            raise UnansweredError(ENDED)
    return waiting.result()


def ask_blocking(engine: Engine, request: Request) -> Response:
    """As `ask`, for code without an event loop; not on an engine's own loop."""
    done = _submitted(engine, request)
    while True:
        try:
            return done.result(timeout=1.0)
        except FutureTimeoutError:
            if not engine.alive and not done.done():
                raise UnansweredError(ENDED) from None


def _submitted(engine: Engine, request: Request) -> Future[Response]:
    done: Future[Response] = Future()

    async def answer() -> None:
        try:
            keys = await engine.offload(engine.keys, [request])
            (response,) = await engine.answer([request], keys)
            done.set_result(response)
        except BaseException as e:  # noqa: BLE001  (handed to whoever waits)
            if not done.done():
                done.set_exception(e if isinstance(e, LmmsError) else LmmsError(f"{type(e).__name__}: {e}"))

    if not engine.alive:
        raise UnansweredError(ENDED)
    engine.call(lambda: engine.spawn(answer()))
    return done
