"""Several runs side by side: every metric, and how each further run differs from the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pytest_lmms import stats
from pytest_lmms.errors import LmmsError
from pytest_lmms.results.compare import compare
from pytest_lmms.results.comparison import Comparison
from pytest_lmms.results.corpus import FindTask
from pytest_lmms.results.runs import Metric, StoredRun

_SIGNIFICANT = 0.05
_HEAD = ("Metric", "Run", "", "Value", "Difference", "95% interval", "p", "Docs", "Worse", "Better")


class Line(NamedTuple):
    """One metric of one run beside the first run's."""

    run: StoredRun
    comparison: Comparison
    p_adjusted: float | None
    """Holm's, over all lines."""


def compare_all(runs: Sequence[StoredRun], *, find_task: FindTask | None = None) -> list[Line]:
    """Compare every further run with the first, on all metrics that the first has, and that are a number in any.

    What cannot be compared, or not be read, stays in the list with its `obstacle`; `find_task` as of `compare`.
    """
    first, *others = runs
    metrics = [
        metric
        for task in first.tasks
        for metric in first.metrics(task)
        if any(run.value(metric) is not None for run in runs)
    ]
    found = [(run, _compared(run, first, metric, find_task)) for metric in metrics for run in others]
    tested = [i for i, (_, c) in enumerate(found) if c.p_value is not None]
    adjusted = dict(zip(tested, stats.holm([found[i][1].p_value or 0.0 for i in tested]), strict=True))
    return [Line(run, c, adjusted.get(i)) for i, (run, c) in enumerate(found)]


def _compared(run: StoredRun, first: StoredRun, metric: Metric, find_task: FindTask | None) -> Comparison:
    known: dict[str, Any] = {
        "metric": metric,
        "higher_is_better": first.higher_is_better(metric),
        "baseline": first.value(metric),
    }
    if metric not in list(run.metrics(metric.task)):
        return Comparison(**known, value=None, obstacle=f"has no {metric}")
    try:
        return compare(run, first, metric, find_task=find_task)
    except LmmsError as e:
        return Comparison(**known, value=run.value(metric), obstacle=str(e).replace("\n", " "))


def to_json(first: StoredRun, lines: Sequence[Line]) -> dict[str, Any]:
    """Everything, with the documents that changed as node ids of the run they changed in."""
    return {
        "baseline": {"name": first.name, "path": str(first.path)},
        "comparisons": [
            {
                "run": line.run.name,
                "path": str(line.run.path),
                **c.metric._asdict(),
                **{name: getattr(c, name) for name in (
                    "value", "baseline", "effect", "num_pairs", "num_unpaired", "mean_difference", "low", "high",
                    "p_value", "test", "obstacle",
                )},
                "p_adjusted": line.p_adjusted,
                "notes": list(c.notes),
                "turned_worse": [line.run.node_id(c.metric.task, i) for i in c.worse],
                "turned_better": [line.run.node_id(c.metric.task, i) for i in c.better],
            }
            for line in lines
            for c in [line.comparison]
        ],
    }  # fmt: skip


def rows(first: StoredRun, lines: Sequence[Line]) -> Iterator[tuple[str, ...]]:
    """Cells of the table, its head first; of each metric the first run, then the others."""
    yield _HEAD
    previous: Metric | None = None
    for line in lines:
        c = line.comparison
        if c.metric != previous:
            arrow = {True: "↑", False: "↓", None: ""}[c.higher_is_better]
            yield (str(c.metric), first.name, arrow, _number(c.baseline), *([""] * 6))
        previous = c.metric
        if c.obstacle is not None:
            yield ("", line.run.name, "", _number(c.value), f"not comparable: {c.obstacle}", *([""] * 5))
            continue
        star = "*" if line.p_adjusted is not None and line.p_adjusted < _SIGNIFICANT else ""
        interval = "" if c.low is None or c.high is None else f"[{c.low:+.4f}, {c.high:+.4f}]"
        difference = c.mean_difference if c.mean_difference is not None else c.effect
        yield (
            "", line.run.name, "", _number(c.value), "" if difference is None else f"{difference:+.4f}", interval,
            "" if line.p_adjusted is None else f"{line.p_adjusted:.3g}{star}", f"{c.num_pairs:,}",
            str(len(c.worse)), str(len(c.better)),
        )  # fmt: skip


def text_table(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay cells out for a terminal; an obstacle runs on to the right."""
    obstacle = "not comparable"
    widths = [max(len(r[i]) for r in cells if not (r[4].startswith(obstacle) and i >= 4)) for i in range(len(cells[0]))]
    for row in cells:
        yield "  ".join(
            c.ljust(w) if i <= 2 or c.startswith(obstacle) else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()


def markdown_table(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay cells out as Markdown."""
    for i, row in enumerate(cells):
        yield "| " + " | ".join(c.replace("|", "\\|") for c in row) + " |"
        if i == 0:
            yield "| " + " | ".join("---" for _ in row) + " |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
