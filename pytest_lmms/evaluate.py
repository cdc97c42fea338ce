"""THE line: a document is rendered, asked, scored, and becomes a record.

`evaluate` is the one place where the stages meet. `Line` keeps many of these coroutines in flight, within a window,
on the engine's loop, and hands finished documents back in the order in which they finish. Neither knows pytest.
"""

from __future__ import annotations

import contextvars
import queue
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_lmms.errors import LmmsError, UnansweredError
from pytest_lmms.inference.batching import Group
from pytest_lmms.inference.engine import Engine, Entry
from pytest_lmms.records import Record, Response
from pytest_lmms.scoring.score import Scorer, score
from pytest_lmms.tasks.render import Rendered, Task, task_frame
from pytest_lmms.tasks.rows import Rows, digest_row

current_document: contextvars.ContextVar[str | None] = contextvars.ContextVar("current_document", default=None)
"""Name of the document that this thread works for, for log handlers."""


ExtraScores = Callable[
    [str, Mapping[str, Any], Mapping[str, list[Any]], Mapping[str, Mapping[str, Any]]], dict[str, Any]
]
"""(task, document, answers by filter, scores by filter) to further scores."""


@dataclass(slots=True, eq=False)
class Document:
    """One document of one task, on its way along the line."""

    task: Task
    rows: Rows
    scorer: Scorer
    index: int
    """Row number."""
    position: int = 0
    """Place in the task's selection; orders batches."""
    group: Group[Entry] | None = None
    """The planned batch it belongs to."""
    extra_scores: ExtraScores | None = None
    """Adds what plugins score; set by the line."""

    @property
    def name(self) -> str:
        """`task[index]`."""
        return f"{self.task.name}[{self.index}]"


def _render(document: Document, engine: Engine) -> tuple[Rendered, list[str], str]:
    current_document.set(document.name)
    rendered = document.task.render(document.rows, document.index)
    keys = engine.keys(rendered.requests)
    return rendered, keys, digest_row(document.rows.storage(document.index))


def _score(document: Document, rendered: Rendered, responses: Sequence[Response], doc_hash: str) -> Record:
    current_document.set(document.name)
    base: dict[str, Any] = {
        "task": document.task.name,
        "doc_id": document.index,
        "doc_hash": doc_hash,
        "input": rendered.input,
        "target": rendered.target,
        "resps": [r.text for r in responses],
        "token_counts": [r.tokens for r in responses],
        "timings": [r.timing for r in responses if r.timing is not None and not r.cached],
        "num_cached": sum(r.cached for r in responses),
        "flags": tuple(dict.fromkeys(f for r in responses for f in r.flags)),
    }
    try:
        outcome = score(document.scorer, rendered.document, responses)
        scores = outcome.scores
        if document.extra_scores is not None:
            extra = document.extra_scores(document.task.name, rendered.document, outcome.filtered_resps, scores)
            scores = {name: {**values, **extra} for name, values in scores.items()}
    except Exception as e:  # noqa: BLE001  (one bad document never sinks another)
        return Record(status="error", error=describe(e, document), **base)
    return Record(status=outcome.status, filtered_resps=outcome.filtered_resps, scores=scores, **base)


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
        return await engine.offload(_score, document, rendered, responses, doc_hash)  # type: ignore[no-any-return]
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
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = task_frame(error) if frames else "unknown place"
    return f"{document.name}: {type(error).__name__}: {text}\n  at {place}"


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
    ) -> None:
        """Set up a line.

        Args:
            engine: Started by the caller.
            record: Called on the engine's loop with the records that finished together, before anybody hears that they
                are done; they must be durably written when it returns. Gives back what was written: a record that
                cannot be stored is replaced by an error.
            extra_scores: Given to every document.
        """
        self.engine = engine
        self._record = record
        self._extra_scores = extra_scores
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
