"""One document of one task, on its way along the line. Knows what it belongs to, not what is done with it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_lmms.inference.batching import Group
from pytest_lmms.inference.engine import Entry
from pytest_lmms.judging import Judges
from pytest_lmms.scoring.score import Scorer
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.rows import Rows

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
    judges: Judges | None = None
    """Score tasks that have a rubric; set by the line."""
    is_scored: bool = True
    """Whether anybody wants scores; set by the line."""

    @property
    def name(self) -> str:
        """`task[index]`."""
        return f"{self.task.name}[{self.index}]"
