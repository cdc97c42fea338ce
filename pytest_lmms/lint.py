"""Everything that can be said about a task without a model and without its dataset: for authors, before they share it.

A task's miniature stands for its data: each document is rendered and scored with its gold answer, while a record is
kept of the columns that are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.errors import LmmsError, TaskError, did_you_mean, explain
from pytest_lmms.preflight import check_task as check_before_run
from pytest_lmms.records import Response
from pytest_lmms.scoring.build import aggregate, build_scorer, metric_entries
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS
from pytest_lmms.scoring.score import Scorer, score
from pytest_lmms.tasks.fields import Doc
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.miniature import miniature_path
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.rows import Rows
from pytest_lmms.tasks.spec import LOGPROB_TYPES


def check_task(path: str | Path) -> list[str]:
    """Check a task's YAML, or every task of a group's.

    Args:
        path: The YAML.

    Returns:
        What is wrong, each with the place, most with what to do; an empty list for a task that is fine.
    """
    try:
        loaded = load_task(path)
    except LmmsError as e:
        return [str(e)]
    return [problem for task in (loaded if isinstance(loaded, list) else [loaded]) for problem in _problems(task)]


def _problems(task: Task) -> Iterator[str]:
    try:
        scorer = build_scorer(task, reasoning_tags=DEFAULT_TAGS, full_docs=lambda: _all(rows))
        metric_entries(task)
    except LmmsError as e:
        yield str(e)
        return
    path = miniature_path(task.spec, task.path)
    if not path.is_file():
        yield explain(
            f"task {task.name} has no miniature", where=str(task.path), expected=str(path),
            remedy="write a few documents there, so that the task can be tried offline",
        )  # fmt: skip
        return
    try:
        rows = WatchedRows(task.open_rows("mini"))
        if not len(rows):
            yield explain("no documents", where=str(path), expected="one JSON object a line")
            return
        task = task.with_examples("mini")
        check_before_run(task, rows, scorer, first=0, with_judges=False)
        if not scorer.asks_judges:
            yield from _check_scores(task, scorer, rows)
    except LmmsError as e:
        hint = _misspelt(str(e), rows.columns) if "rows" in locals() else None
        yield str(e) + (f"\n  {hint}" if hint else "")
        return
    missing = sorted(c for c in rows.read if c not in rows.columns and isinstance(c, str))
    if missing and task.spec.process_docs is None:
        yield explain(
            f"the task reads the column{'s' * (len(missing) > 1)} {', '.join(missing)}, which the miniature lacks",
            where=str(path), expected="among " + ", ".join(rows.columns),
        )  # fmt: skip


def _misspelt(message: str, columns: list[str]) -> str | None:
    """The column that a KeyError probably meant."""
    _, found, rest = message.partition("KeyError: ")
    close = did_you_mean(rest.partition(" ")[0].strip("'\""), columns) if found else None
    return f"did you mean {close!r}?" if close else None


def _all(rows: Rows) -> list[Doc]:
    return [rows.document(i) for i in range(len(rows))]


def _check_scores(task: Task, scorer: Scorer, rows: Rows) -> Iterator[str]:
    """Score the gold answer of every document, and aggregate."""
    items: dict[str, list[Any]] = {}
    for index in range(len(rows)):
        rendered = task.render(rows, index)
        gold = rendered.target[0] if isinstance(rendered.target, (list, tuple)) and rendered.target else rendered.target
        is_scored = task.spec.output_type in LOGPROB_TYPES
        responses = [
            Response(text=str(gold or ""), logprob=-1.0 - r.place if is_scored else None, is_greedy=False)
            for r in rendered.requests
        ]
        outcome = score(scorer, rendered.document, responses, doc_id=index)
        for name, value in next(iter(outcome.scores.values()), {}).items():
            items.setdefault(name, []).append(value)
    entries = metric_entries(task)
    unclaimed = items.keys() - {entry.name for entry in entries}
    for entry in entries:
        if entry.name not in items and not unclaimed:
            continue  # a metric of other documents than the miniature's
        if entry.name not in items:
            yield explain(
                f"no document has a score for the metric {entry.name!r}", where=task.where("metric_list"),
                expected="one of " + ", ".join(sorted(items)) if items else None,
                suggestion=did_you_mean(entry.name, items),
            )  # fmt: skip
            continue
        try:
            aggregate(entry, items[entry.name])
        except TaskError as e:
            yield f"{task.where('metric_list')}: with gold answers to the miniature: {e}"


class WatchedRows:
    """Rows that remember which columns were read."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.columns = rows.columns
        self.read: set[str] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def storage(self, index: int) -> Mapping[str, Any]:
        """One row as it is stored; not counted."""
        return self._rows.storage(index)

    def document(self, index: int) -> dict[str, Any]:
        """One row as task code sees it; what is taken from it counts as read."""
        return _Watched(self._rows.document(index), self.read)


class _Watched(dict[str, Any]):
    def __init__(self, values: Mapping[str, Any], read: set[str]) -> None:
        super().__init__(values)
        self._read = read

    def __getitem__(self, key: str) -> Any:
        self._read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._read.add(key)
        return super().get(key, default)

    def items(self) -> Any:
        self._read.update(self)
        return super().items()

    def values(self) -> Any:
        self._read.update(self)
        return super().values()
