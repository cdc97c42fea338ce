"""Metrics that are computed over all documents together, such as BLEU: which they are, and how they are resampled."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pytest_lmms.errors import LmmsError
from pytest_lmms.results.runs import Metric, StoredRun
from pytest_lmms.scoring.build import aggregate, metric_entries
from pytest_lmms.scoring.metrics import AGGREGATIONS, METRICS
from pytest_lmms.scoring.metrics.aggregations import totals_of
from pytest_lmms.stats import OfTotals
from pytest_lmms.tasks.render import Task

BOOTSTRAPPED = {"median": 1000, "f1": 1000, "matthews_corrcoef": 1000, "perplexity": 1000,
                "bleu": 100, "chrf": 100, "ter": 100}  # fmt: skip
"""Aggregations whose standard error is bootstrapped, with the number of resamples."""
BOOTSTRAP_SEED = 1234
FRACTIONS = frozenset({"f1", "matthews_corrcoef", "acc_all", "brier_score", "mean"})
"""Aggregations of which one point is a hundredth."""
OWN_ITERATIONS = 200
"""Resamples for an aggregation of a task's own, which has to read all items for each."""
MOST_SECONDS = 60.0
"""What resampling one metric may take of a processor, on two runs."""
_BUSY = 5
"""So many times as long may it take by the clock, on a busy machine."""
_FIRST_SECONDS = 2.0
"""Before so much time is spent, nobody foretells the rest: a first call may import."""
_ASKING = ("lmms_eval.llm_judge", "pytest_lmms.llm_judge", "openai", "anthropic", "requests", "httpx", "aiohttp",
           "urllib3", "urllib.request")  # fmt: skip
"""Modules through which task code asks somebody."""

FindTask = Callable[[str], Task | None]
"""A task's name to the task, loaded without data; None where nobody knows it."""


@dataclass(frozen=True)
class Resampling:
    """How a metric is computed anew on documents drawn from two runs."""

    name: str
    """Of the aggregation, for people."""
    statistic: Callable[[list[Any]], Any]
    iterations: int
    points: float | None
    """What one point is, in the metric's unit; None where only its values tell."""
    is_own: bool = False
    """Code of the task, of which nobody knows whether it is what made the runs' values."""


class CannotResample(LmmsError):
    """A metric cannot be computed on other documents than it was; the text says why."""


def resampling_of(run: StoredRun, baseline: StoredRun, metric: Metric, find_task: FindTask | None) -> Resampling:
    """Find out how a metric can be computed anew.

    Args:
        run: Finished.
        baseline: Finished.
        metric: One whose documents have no number of their own.
        find_task: Gives the task whose code aggregates the metric.

    Raises:
        CannotResample: Nothing here computes it, or it may do more than that.
    """
    written = _written(run, metric)
    if (name := _named(written, metric)) is not None and name == _named(_written(baseline, metric), metric):
        points = 0.01 if name in FRACTIONS else 1.0
        statistic = totals_of(name) or AGGREGATIONS[name]
        iterations = BOOTSTRAPPED.get(name, 1000)
        return Resampling(name, _Bounded(statistic, name, 2 * iterations), iterations, points)
    theirs = _written(baseline, metric)
    if _last_word(written) != _last_word(theirs):
        raise CannotResample(f"two functions aggregate it: {written}, and {theirs} in the baseline")
    return _of_task(metric, written, find_task(metric.task) if find_task is not None else None)


def _written(run: StoredRun, metric: Metric) -> Any:
    """What results.json says that aggregates a metric; None where it does not."""
    config = (run.results.get("configs") or {}).get(metric.task) or {}
    for entry in config.get("metric_list") or ():
        if isinstance(entry, dict) and entry.get("metric") == metric.name and "aggregation" in entry:
            return entry["aggregation"]
    return None


def _named(written: Any, metric: Metric) -> str | None:
    """The name in `AGGREGATIONS` of what aggregates a metric; None for a task's own code."""
    if written is not None:
        return written if written in AGGREGATIONS else None
    known = METRICS.get(metric.name)
    return known.aggregation if known is not None else None


def _last_word(written: Any) -> str:
    """The name of a function, from ``!function utils.name`` or lmms-eval's ``<function name at 0x7f...>``."""
    words = str(written).partition(" at 0x")[0].split()
    return words[-1].rpartition(".")[2] if words else ""


def _of_task(metric: Metric, written: Any, task: Task | None) -> Resampling:
    """How code of a task computes a metric of its own."""
    if task is None:
        raise CannotResample(
            f"{written} aggregates it, of a task that is not known here (--include-path names a folder)"
        )
    entry = next((e for e in metric_entries(task) if e.name == metric.name), None)
    if entry is None or entry.aggregation_name != _last_word(written):
        raise CannotResample(f"{written} aggregates it, which the task in {task.path} does not")
    resolved: Any = getattr(entry.aggregation, "resolve", lambda: entry.aggregation)()
    if isinstance(resolved, OfTotals):
        return Resampling(entry.aggregation_name, resolved, OWN_ITERATIONS, resolved.points, is_own=True)
    if (module := _asks_through(resolved)) is not None:
        raise CannotResample(f"{entry.aggregation_name} aggregates it, whose module may ask somebody through {module}")

    def statistic(items: list[Any]) -> Any:
        with _aside() as args:
            return aggregate(entry, items, args)

    bounded = _Bounded(statistic, entry.aggregation_name, 2 * OWN_ITERATIONS)
    return Resampling(entry.aggregation_name, bounded, OWN_ITERATIONS, None, is_own=True)


def _asks_through(function: Any) -> str | None:
    """A module that the function's own one knows, and through which it could ask somebody for every draw."""
    for value in list(getattr(inspect.unwrap(function), "__globals__", {}).values()):
        origin = value.__name__ if inspect.ismodule(value) else str(getattr(value, "__module__", ""))
        if (found := next((m for m in _ASKING if origin == m or origin.startswith(m + ".")), None)) is not None:
            return found
    return None


@contextlib.contextmanager
def _aside() -> Iterator[SimpleNamespace]:
    """What an aggregation prints, logs and writes below its output path was told once, and is not again."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="lmms-resampled-") as folder,
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield SimpleNamespace(output_path=folder)
    finally:
        logging.disable(disabled)


class _Bounded:
    """A statistic that refuses as soon as all its calls would take longer than `MOST_SECONDS`."""

    def __init__(self, statistic: Callable[[list[Any]], Any], name: str, num_calls_wanted: int) -> None:
        self.statistic, self.name, self.num_calls_wanted = statistic, name, num_calls_wanted
        self.num_calls, self.seconds = 0, 0.0
        if isinstance(statistic, OfTotals):
            self.totals = statistic

    def __call__(self, items: list[Any]) -> Any:
        started, started_working = time.perf_counter(), time.thread_time()
        value = self.statistic(items)
        self.num_calls += 1
        self.seconds += max(time.thread_time() - started_working, (time.perf_counter() - started) / _BUSY)
        each = self.seconds / self.num_calls
        if self.seconds > _FIRST_SECONDS and each * self.num_calls_wanted > MOST_SECONDS:
            raise CannotResample(
                f"{self.name} takes {each:.2g} s over {len(items):,} documents, and {self.num_calls_wanted} times that"
                f" is more than {MOST_SECONDS:.0f} s"
            )
        return value
