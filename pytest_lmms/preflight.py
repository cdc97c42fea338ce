"""What can be checked before weights load: columns, functions, and the scoring of each task on its miniature."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

from pytest_lmms.errors import DatasetError, LmmsError, TaskError, did_you_mean, explain
from pytest_lmms.llm_judge import ServerInterface
from pytest_lmms.records import Response
from pytest_lmms.results.codec import encode
from pytest_lmms.results.rules import gates_of_task
from pytest_lmms.scoring.build import metric_entries
from pytest_lmms.scoring.metrics import EVERY_TASK
from pytest_lmms.scoring.score import Scorer, score
from pytest_lmms.tasks.miniature import miniature_path, read_miniature
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.rows import Rows, check_column

_COLUMN_FIELDS = ("doc_to_text", "doc_to_target", "doc_to_visual")


def check_task(
    task: Task, rows: Rows, scorer: Scorer, *, first: int, with_scoring: bool = True, with_judges: bool = True
) -> None:
    """Render a document, and score an empty and a gold answer to every document of the miniature.

    Args:
        task: Bound to the model and the user's settings.
        rows: The documents that will be asked.
        scorer: The task's.
        first: Number of the first selected document; rendered, its media unopened. Where that fails, others are tried.
        with_scoring: False where documents are only listed: scoring rules import what they need (sympy, nltk), which
            takes longer than finding all documents.
        with_judges: Whether judges that the task's code names are looked at; they are not where the user names one. A
            task that asks judges by itself is not scored here: that would ask them.

    Raises:
        TaskError: Something would fail for every document; the message says what.
    """
    for name in _COLUMN_FIELDS:
        value = getattr(task.spec, name)
        if isinstance(value, str) and value.isidentifier():
            check_column(task.spec, rows, value, task.where(name))
    _check_gates(task)
    in_miniature = task.spec.process_docs is None and (path := miniature_path(task.spec, task.path)).is_file()
    scores_rows = with_scoring and not scorer.asks_judges and not in_miniature
    try:
        _check_some_row(task, rows, scorer if scores_rows else None, first)
        if scorer.asks_judges and with_judges:
            _check_judges(scorer)
        if with_scoring and not scorer.asks_judges and in_miniature:
            made_up = read_miniature(path)
            for number in range(len(made_up)):
                _check_scoring(task, made_up, scorer, number)
    except DatasetError:
        raise
    except LmmsError as e:
        raise TaskError(
            explain(
                f"task {task.name} fails its check before the run:\n  {e}",
                remedy="nothing was asked; correct the task, or its miniature, first",
            )
        ) from e


def _check_some_row(task: Task, rows: Rows, scorer: Scorer | None, first: int) -> None:
    """Check the first document; where it fails and one further on does not, the fault is that row's, not the task's."""
    try:
        _check_row(task, rows, scorer, first)
    except LmmsError:
        for number in {(first + len(rows)) // 2, len(rows) - 1} - {first}:
            with contextlib.suppress(LmmsError):
                return _check_row(task, rows, scorer, number)
        raise


def _check_row(task: Task, rows: Rows, scorer: Scorer | None, number: int) -> None:
    if scorer is None:
        task.render(rows, number)
    else:
        _check_scoring(task, rows, scorer, number)


def _check_judges(scorer: Scorer) -> None:
    """Check the judges that a task's code will ask by itself; trying its scoring would ask them."""
    for value in list(getattr(inspect.unwrap(scorer.process_results), "__globals__", {}).values()):  # type: ignore[arg-type]
        if isinstance(value, ServerInterface):
            value.check()


def _check_gates(task: Task) -> None:
    """Read the task's gates, and find their metrics."""
    if not task.spec.gates:
        return
    where = task.where("gates")
    known = {entry.name for entry in metric_entries(task)} | set(EVERY_TASK)
    try:
        gates = gates_of_task(task.name, task.spec.gates, where)
    except LmmsError as e:
        raise TaskError(str(e)) from e
    for gate in gates:
        if gate.metric is not None and gate.metric not in known:
            raise TaskError(
                explain(
                    f"a gate of task {task.name} is about a metric {gate.metric!r} that it does not have",
                    where=where,
                    expected="one of " + ", ".join(sorted(known)),
                    suggestion=did_you_mean(gate.metric, known),
                )
            )


def _check_scoring(task: Task, rows: Rows, scorer: Scorer, number: int) -> None:
    rendered = task.render(rows, number)
    golds = rendered.target if isinstance(rendered.target, (list, tuple)) else [rendered.target]
    answers = ["", *(str(g) for g in list(golds)[:1] if g is not None)]
    for answer in answers:
        try:
            responses = [Response(text=answer, logprob=-1.0 - r.place, is_greedy=False) for r in rendered.requests]
            outcome = score(scorer, rendered.document, responses)
        except LmmsError as e:
            raise TaskError(f"scoring the answer {answer!r} to document {number}: {e}") from e
        for name, scores in outcome.scores.items():
            _check_storable(name, scores)


def _check_storable(filter_name: str, scores: Any) -> None:
    try:
        encode(scores)
    except TypeError as e:
        raise TaskError(f"scores under filter {filter_name}: {e}") from e
