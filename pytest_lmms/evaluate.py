"""THE line: a document is rendered, asked, scored, and becomes a record.

`evaluate` is the one place where the stages meet. `Line` keeps many of these coroutines in flight, within a window,
on the engine's loop, and hands finished documents back in the order in which they finish. Neither knows pytest.
"""

from __future__ import annotations

import asyncio
import functools
import queue
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_lmms.conversing import Conversation, converse
from pytest_lmms.documents import Document, ExtraScores, current_document
from pytest_lmms.errors import DocumentError, LmmsError, UnansweredError
from pytest_lmms.inference.engine import Engine
from pytest_lmms.judging import Judges
from pytest_lmms.llm_judge.calls import collected
from pytest_lmms.records import ANSWER_TRUNCATED, Item, Record, Response
from pytest_lmms.scoring.score import score
from pytest_lmms.tasks.agents import tagged
from pytest_lmms.tasks.frames import task_frame, without_addresses
from pytest_lmms.tasks.render import Rendered
from pytest_lmms.tasks.rounds import ROUND_TYPES
from pytest_lmms.tasks.rows import digest_row
from pytest_lmms.tasks.spec import LOGPROB_TYPES


def _render(document: Document, engine: Engine) -> tuple[Rendered, list[str], str]:
    current_document.set(document.name)
    rendered = document.task.render(document.rows, document.index)
    keys = engine.keys(rendered.requests)
    return rendered, keys, digest_row(document.rows.storage(document.index))


def _flags(response: Response) -> Iterator[str]:
    yield from response.flags
    if response.finish_reason == "length":
        yield ANSWER_TRUNCATED


def _score(
    document: Document,
    rendered: Rendered,
    responses: Sequence[Response],
    doc_hash: str,
    conversations: Sequence[Conversation],
) -> Record:
    current_document.set(document.name)
    if conversations:
        said: list[Any] = [[tagged(r.text, r.tool_calls) for r in c.responses] for c in conversations]
        responses = [r for c in conversations for r in c.responses]
    elif document.scorer.output_type in LOGPROB_TYPES:
        said = [[r.logprob, r.is_greedy] for r in responses]
    else:
        said = [r.text for r in responses]
    base: dict[str, Any] = {
        "task": document.task.name,
        "doc_id": document.index,
        "doc_hash": doc_hash,
        "input": rendered.input,
        "target": rendered.target,
        "resps": said,
        "rounds": [c.rounds for c in conversations],
        "token_counts": [r.tokens for r in responses],
        "timings": [r.timing for r in responses if r.timing is not None and not r.cached],
        "num_cached": sum(r.cached for r in responses),
        "flags": tuple(dict.fromkeys(f for r in responses for f in _flags(r))),
    }
    if not document.is_scored:
        return Record(status="unscored", **base)
    spoken = [c.spoken for c in conversations] or None
    try:
        with collected() as asked:
            outcome = score(document.scorer, rendered.document, responses, doc_id=document.index, spoken=spoken)
        base["verdicts"] = asked.verdicts
        for failure in asked.failures:  # also one that the task's code has made a score of
            raise failure
        scores = _with_numbers(outcome.scores)
        if document.extra_scores is not None:
            extra = document.extra_scores(document.task.name, rendered.document, outcome.filtered_resps, scores)
            scores = {name: {**values, **extra} for name, values in scores.items()}
    except UnansweredError:
        raise
    except Exception as e:  # noqa: BLE001  (one bad document never sinks another)
        return Record(status="error", error=describe(e, document), **base)
    return Record(
        status=outcome.status,
        filtered_resps=outcome.filtered_resps,
        scores=scores,
        repeat_scores=_with_numbers(outcome.repeat_scores),
        **base,
    )


def _with_numbers(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Scores by filter and metric, each item with its document's own numbers."""

    def whole(item: Any) -> Any:
        if isinstance(item, list):
            return [whole(one) for one in item]
        return {**item, **item.numbers} if isinstance(item, Item) else item

    return {name: {metric: whole(item) for metric, item in values.items()} for name, values in scores.items()}


async def _judge(document: Document, rendered: Rendered, record: Record, engine: Engine) -> Record:
    """Have judges score a document's answers; what rules say stays beside it. No verdict is an error, not a score."""
    scorer, judges = document.scorer, document.judges
    if judges is None or scorer.rubric is None or scorer.judged is None or record.status in ("error", "unscored"):
        return record
    if scorer.judges_unread and record.status != "unparsed":
        return record
    scores, verdicts = dict(record.scores), list(record.verdicts)
    try:
        for name, answers in record.filtered_resps.items():
            known = {"response": answers[0] if answers else "", "target": record.target, "input": rendered.input}
            found = await judges.judge(
                scorer.rubric, rendered.document, known, task=document.task.name, doc_id=document.index
            )
            verdicts += found.verdicts
            judged = await engine.offload(
                functools.partial(scorer.judged, rendered.document, answers, reply=found.reply)
            )
            scores |= _with_numbers({name: {**scores.get(name, {}), **judged}})
    except UnansweredError:
        raise
    except Exception as e:  # noqa: BLE001  (one bad document never sinks another)
        return replace(record, status="error", error=describe(e, document), scores={}, verdicts=verdicts)
    status = "scored" if record.status == "unparsed" else record.status  # a judge has read what rules could not
    return replace(record, status=status, scores=scores, verdicts=verdicts)


async def evaluate(document: Document, engine: Engine) -> Record:
    """Take one document down the line.

    Whatever goes wrong with it becomes a record with status `error`.

    Raises:
        UnansweredError: The run was stopped before it was asked; there is no record of it then.
    """
    doc_hash = ""
    rendered = None
    arrived = False
    try:
        rendered, keys, doc_hash = await engine.offload(_render, document, engine)
        arrived = True
        responses = await engine.answer(rendered.requests, keys, group=document.group, position=document.position)
        conversations: Sequence[Conversation] = ()
        if document.task.spec.output_type in ROUND_TYPES:
            conversations = await asyncio.gather(
                *(
                    converse(document, engine, rendered._replace(requests=[request]), response)
                    for request, response in zip(rendered.requests, responses, strict=True)
                )
            )
        away = engine.aside if document.scorer.waits else engine.offload
        record = await away(_score, document, rendered, responses, doc_hash, conversations)
        return await _judge(document, rendered, record, engine)
    except UnansweredError:
        raise
    except Exception as e:  # noqa: BLE001  (one bad document never sinks another)
        return Record(
            task=document.task.name,
            doc_id=document.index,
            status="error",
            doc_hash=doc_hash,
            input=rendered.input if rendered else "",
            target=rendered.target if rendered else None,
            error=describe(e, document),
        )
    finally:
        if not arrived and document.group is not None:
            engine.arrive(document.group, document.position)


def describe(error: BaseException, document: Document) -> str:
    """Tell in a few lines what went wrong with a document, and where in whose code."""
    text = str(error) or type(error).__name__
    if isinstance(error, LmmsError):
        is_placed = document.name in text or not isinstance(error, DocumentError)
        return text if is_placed else f"{document.name}: {text}"
    return f"{document.name}: {type(error).__name__}: {without_addresses(text)}\n  at {task_frame(error)}"


Done = tuple[Document, Record | None]
"""A finished document: its record, or None when the run was stopped before it was asked."""


class Line:
    """Many documents in flight on one engine."""

    def __init__(
        self,
        engine: Engine,
        *,
        record: Callable[[Sequence[Record]], Sequence[Record]],
        extra_scores: ExtraScores | None = None,
        judges: Judges | None = None,
        is_scored: bool = True,
    ) -> None:
        """Set up a line.

        Args:
            engine: Started by the caller.
            record: Called on the engine's loop with the records that finished together, before anybody hears that they
                are done; they must be durably written when it returns. Gives back what was written: a record that
                cannot be stored is replaced by an error.
            extra_scores: Given to every document.
            judges: Given to every document; None leaves tasks with a rubric to their rules.
            is_scored: Whether responses are scored, or only kept.
        """
        self.engine = engine
        self._record = record
        self._extra_scores = extra_scores
        self._judges = judges
        self._is_scored = is_scored
        self.num_outstanding = 0
        """Submitted and not yet taken. Submitting thread only."""
        self._fresh: list[tuple[Document, Record | None]] = []
        self._finished: queue.SimpleQueue[list[Done]] = queue.SimpleQueue()
        self._taken: deque[Done] = deque()

    def submit(self, documents: Sequence[Document]) -> None:
        """Put documents in flight, in order. From one thread."""
        self.num_outstanding += len(documents)
        self.engine.call(self._accept, list(documents))

    def _accept(self, documents: Sequence[Document]) -> None:
        for document in documents:
            document.extra_scores = self._extra_scores
            document.judges = self._judges
            document.is_scored = self._is_scored
            self.engine.spawn(self._run(document))

    async def _run(self, document: Document) -> None:
        try:
            record: Record | None = await evaluate(document, self.engine)
        except UnansweredError:
            record = None
        if not self._fresh:
            self.engine.call_soon(self._hand_over)
        self._fresh.append((document, record))

    def _hand_over(self) -> None:
        """Write what has finished, in one go, then tell."""
        fresh, self._fresh = self._fresh, []
        try:
            written = iter(self._record([record for _, record in fresh if record is not None]))
            done = [(document, record and next(written)) for document, record in fresh]
        except Exception as e:  # noqa: BLE001  (a full disk, say: told to each document, never waited for)
            done = [
                (d, Record(task=d.task.name, doc_id=d.index, status="error", error=describe(e, d))) for d, _ in fresh
            ]
        self._finished.put(done)

    def take(self) -> Done:
        """Wait for the next finished document. From the submitting thread.

        Raises:
            RuntimeError: The engine's loop has ended with documents outstanding.
        """
        while not self._taken:
            try:
                self._taken.extend(self._finished.get(timeout=1.0))
            except queue.Empty:
                if not self.engine.alive:
                    raise RuntimeError("the engine ended with documents outstanding") from self.engine.cause_of_death
        self.num_outstanding -= 1
        return self._taken.popleft()
