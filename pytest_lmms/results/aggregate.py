"""Records to results: each metric over the documents that have it, with its standard errors and status counts.

An errored document leaves numerator and denominator; an unparsed or filtered one counts as wrong. Values come out
of the shards through the codec, in the process that made them or in another, so workers cannot change a score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms import stats
from pytest_lmms.errors import TaskError
from pytest_lmms.records import STATUSES
from pytest_lmms.results.codec import plain
from pytest_lmms.results.corpus import BOOTSTRAP_SEED, BOOTSTRAPPED
from pytest_lmms.results.leaving_out import over_those_it_takes, said
from pytest_lmms.results.uncertainty import DOCUMENT_MEANS
from pytest_lmms.scoring.build import MetricEntry, aggregate, metric_entries, takes_a_judge
from pytest_lmms.scoring.metrics import AGGREGATIONS, METRICS
from pytest_lmms.scoring.metrics.aggregations import totals_of
from pytest_lmms.tasks.render import Task


class TaskAggregate:
    """Collects the scores of one task, then aggregates them."""

    def __init__(self, task: Task, *, extra_metrics: Sequence[str] = ()) -> None:
        """Start empty.

        Args:
            task: Loaded without data.
            extra_metrics: Names of metrics that plugins add to every task.
        """
        self.task = task
        self.entries = metric_entries(task)
        known = {e.name for e in self.entries}
        for name in extra_metrics:
            if name not in known:
                metric = METRICS[name]
                self.entries.append(
                    MetricEntry(name, AGGREGATIONS[metric.aggregation], metric.aggregation, metric.higher_is_better)
                )
        self.statuses: Counter[str] = Counter()
        self.left_out: set[int] = set()
        """Numbers of documents on whose items an aggregation failed; known after `result`."""
        self._items: dict[tuple[str, str], list[Any]] = {}
        self._owners: dict[tuple[str, str], list[int]] = {}
        self._repeats: dict[tuple[str, str], list[list[float]]] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one decoded record and keep its metric inputs."""
        self.statuses[record["status"]] += 1
        if record["status"] == "error":
            return
        for filter_name, scores in record["scores"].items():
            for entry in self.entries:
                if entry.name in scores:
                    self._items.setdefault((entry.name, filter_name), []).append(scores[entry.name])
                    self._owners.setdefault((entry.name, filter_name), []).append(record["doc_id"])
        for filter_name, by_metric in record.get("repeat_scores", {}).items():
            for entry in self.entries:
                numbers = [_number(v, self.task.spec.score_key) for v in by_metric.get(entry.name, ())]
                if numbers and None not in numbers:
                    self._repeats.setdefault((entry.name, filter_name), []).append(numbers)  # type: ignore[arg-type]

    def counts(self, num_expected: int) -> dict[str, int]:
        """`n_expected`, `n_scored`, `n_unparsed`, `n_filtered`, `n_error`, `n_unscored`, `n_not_run`."""
        counts = {"n_expected": num_expected}
        counts |= {f"n_{status}": self.statuses[status] for status in STATUSES}
        counts["n_not_run"] = max(0, num_expected - sum(self.statuses.values()))
        return counts

    def unjudged(self) -> list[str]:
        """Metrics that no document has since only a judge gives them; none where nothing has been scored at all."""
        found = {name for name, _ in self._items}
        return [e.name for e in self.entries if found and e.name not in found and takes_a_judge(self.task, e.name)]

    def not_computed(self) -> dict[str, str]:
        """Metrics that cannot be computed on this machine, and why; see `obstacle` of their aggregations."""
        return {e.name: why for e in self.entries if (why := obstacle_to(e)) is not None}

    def result(self, args: Any = None) -> tuple[dict[str, Any], list[str]]:
        """Aggregate.

        Returns:
            The task's entry of `results` (lmms-eval's keys: ``"<metric>,<filter>"`` and its errors ``_stderr``,
            ``_stderr_clt``, ``_stderr_clustered``; plus ``"<metric>,<filter>,sub_scores"`` where the aggregation
            has them), and complaints of aggregations that failed. One that fails on some documents alone is over the
            others; its task is incomplete.
        """
        found: dict[str, Any] = {"alias": self.task.spec.task_alias or self.task.name}
        complaints: list[str] = []
        impossible = self.not_computed()
        for entry in self.entries:
            for (name, filter_name), items in self._items.items():
                if name != entry.name or name in impossible:
                    continue
                owners = self._owners[name, filter_name]
                value, items, owners = self._aggregated(entry, items, owners, args, complaints)
                found[f"{name},{filter_name}"] = value
                numbers = [n for n in (_number(i, self.task.spec.score_key) for i in items) if n is not None]
                if len(numbers) == len(items):
                    found.setdefault(DOCUMENT_MEANS, {})[f"{name},{filter_name}"] = sum(numbers) / len(numbers)
                errors = standard_errors(
                    entry, items, score_key=self.task.spec.score_key, cluster_key=self.task.spec.cluster_key
                )
                found |= {f"{name}_{kind},{filter_name}": error for kind, error in errors.items()}
                found |= {
                    f"{name}_{figure},{filter_name}": number
                    for figure, number in repeat_figures(self._repeats.get((name, filter_name), [])).items()
                }
                if value is not None and (sub_scores := self._sub_scores(entry, items, owners, complaints)) is not None:
                    found[f"{name},{filter_name},sub_scores"] = sub_scores
        return found, complaints

    def _aggregated(
        self, entry: MetricEntry, items: list[Any], owners: list[int], args: Any, complaints: list[str]
    ) -> tuple[Any, list[Any], list[int]]:
        """A metric's value, the items that it is over, and whose they are; None, and all of them, where it fails."""
        try:
            value, left_out, error = over_those_it_takes(
                lambda some: aggregate(entry, some, args), items, trial=lambda some: aggregate(entry, some)
            )
        except TaskError as e:
            complaints.append(f"{self.task.name}: {e}")
            return None, items, owners
        if left_out:
            complaints.append(f"{self.task.name}: {error}; {self._named(left_out, owners)}")
            without = set(left_out)
            self.left_out |= {owners[place] for place in left_out}
            items = [item for place, item in enumerate(items) if place not in without]
            owners = [owner for place, owner in enumerate(owners) if place not in without]
        return plain(value), items, owners

    def _sub_scores(self, entry: MetricEntry, items: list[Any], owners: list[int], complaints: list[str]) -> Any:
        """The sub-scores of a metric's aggregation, None where it has none or they fail."""
        function = getattr(_resolve(entry.aggregation), "sub_scores", None)
        if function is None:
            return None
        try:
            value, left_out, error = over_those_it_takes(function, items)
        except Exception as e:  # noqa: BLE001 (a task's own code)
            complaints.append(f"{self.task.name}: sub-scores of {entry.name}: {type(e).__name__}: {e}")
            return None
        if left_out:
            what = f"sub-scores of {entry.name}: {type(error).__name__}: {error}"
            complaints.append(f"{self.task.name}: {what}; {self._named(left_out, owners)}")
        return plain(value)

    def _named(self, places: Sequence[int], owners: Sequence[int]) -> str:
        return said([f"{self.task.name}[{owners[place]}]" for place in places])


def repeat_figures(scores: Sequence[Sequence[float]]) -> dict[str, float | None]:
    """What repeated asking tells beyond the metric itself.

    Args:
        scores: For each document, the number of each of its repeats.

    Returns:
        `expected_accuracy`, `consensus_accuracy`, `internal_variance`, `consistency_rate` (see `stats`), and, where
        all numbers are 0 or 1, ``pass@k`` for k = 2, 4, 8, ... and the number of repeats; empty without repeats.
    """
    if not scores:
        return {}
    figures: dict[str, float | None] = {
        "expected_accuracy": stats.expected_accuracy(scores),
        "consensus_accuracy": stats.consensus_accuracy(scores),
        "internal_variance": stats.internal_variance(scores),
        "consistency_rate": stats.consistency_rate(scores),
    }
    num_repeats = min(map(len, scores))
    if all(score in (0, 1) for each in scores for score in each):
        for k in sorted({2**i for i in range(1, num_repeats.bit_length())} | {num_repeats}):
            each = [stats.pass_at_k(len(s), int(sum(s)), k) for s in scores]
            figures[f"pass@{k}"] = sum(each) / len(each)
    return figures


def obstacle_to(entry: MetricEntry) -> str | None:
    """Why a metric cannot be computed here, as its aggregation says; None where it can."""
    obstacle = getattr(_resolve(entry.aggregation), "obstacle", None)
    return obstacle() if obstacle is not None else None


def _resolve(function: Any) -> Any:
    return function.resolve() if hasattr(function, "resolve") else function


def standard_errors(
    entry: MetricEntry, items: Sequence[Any], *, score_key: str, cluster_key: str | None
) -> dict[str, float | str | None]:
    """Standard errors of one metric; `"N/A"` where none is defined, as lmms-eval writes it."""
    numbers = [n for n in (_number(item, score_key) for item in items) if n is not None]
    clt = stats.standard_error_clt(numbers) if len(numbers) == len(items) else None
    found: dict[str, float | str | None] = {}
    if entry.aggregation_name == "mean":
        plain_error = clt
    elif entry.aggregation_name in BOOTSTRAPPED:
        statistic = totals_of(entry.aggregation_name) or entry.aggregation
        plain_error = stats.bootstrap_standard_error(
            items, statistic, iterations=BOOTSTRAPPED[entry.aggregation_name], seed=BOOTSTRAP_SEED
        )
    else:
        plain_error = None
    found["stderr"] = "N/A" if plain_error is None else plain_error
    found["stderr_clt"] = "N/A" if clt is None else clt
    if cluster_key is not None:
        clusters = [item.get(cluster_key) if isinstance(item, Mapping) else None for item in items]
        clustered = None
        if len(numbers) == len(items) and None not in clusters:
            clustered = stats.standard_error_clustered(numbers, [_hashable(c) for c in clusters])
        found["stderr_clustered"] = "N/A" if clustered is None else clustered
    return found


def _number(item: Any, score_key: str) -> float | None:
    value = item.get(score_key) if isinstance(item, Mapping) else item
    return float(value) if isinstance(value, (int, float)) else None


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else repr(value)
