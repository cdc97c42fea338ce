"""What comparing two runs tells about one metric. Data, and what all ways of comparing share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_lmms.errors import counted
from pytest_lmms.results.runs import DocumentItem, DocumentScore, Metric

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of a run and of its baseline. Differences are run minus baseline."""

    metric: Metric
    higher_is_better: bool | None
    value: float | None
    """The run's aggregate over all its documents, in the metric's unit."""
    baseline: float | None
    """The same of the baseline."""
    effect: float | None = None
    """Difference of the metric over the common documents, in its unit; None where that cannot be told."""
    effect_from: float | None = None
    """The baseline's value that `effect` starts from."""
    num_pairs: int = 0
    """Documents that both runs scored."""
    num_unpaired: int = 0
    """Documents that only one of them scored."""
    mean_difference: float | None = None
    """Of the documents' scores, in their unit."""
    low: float | None = None
    """Lower end of its 95% confidence interval."""
    high: float | None = None
    p_value: float | None = None
    """Two-sided: McNemar's exact test for scores of 0 and 1, else a paired t test, clustered where the task is; for a
    metric over all documents together, a paired bootstrap."""
    p_worse: float | None = None
    """One-sided, small where the run is worse: McNemar's mid-p test, or the t test."""
    test: str | None = None
    std: float | None = None
    """Standard deviation of a document's difference; of clustered documents, that which their error amounts to."""
    points: float = 0.01
    """What one point is, in the unit of the documents' scores: a hundredth for scores 0 to 1, else 1."""
    worse: tuple[int, ...] = ()
    """Documents that turned from right to wrong, or lost score; the largest loss first."""
    better: tuple[int, ...] = ()
    """Documents that turned from wrong to right, or gained."""
    notes: tuple[str, ...] = ()
    obstacle: str | None = None
    """Why the two cannot be compared at all."""

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return -1 if self.higher_is_better is False else 1


def aggregates_only(why: str, aggregates: Mapping[str, Any]) -> Comparison:
    """What can be said without documents: two aggregates. `why` goes on with "documents have no number, and ..."."""
    value, start = aggregates["value"], aggregates["baseline"]
    effect = None if value is None or start is None else value - start
    note = f"documents have no single number under this metric{why and ', and '}{why}: only its aggregates are compared"
    return Comparison(**aggregates, effect=effect, effect_from=start, notes=(note,))


def another_version(here: Mapping[int, Any], there: Mapping[int, Any], common: list[int]) -> str | None:
    """Say which rows are not the same ones in both runs, None where all are."""
    changed = [i for i in common if _is_another(here[i], there[i])]
    if not changed:
        return None
    shown = ", ".join(map(str, changed[:5])) + (", ..." if len(changed) > 5 else "")
    return f"another dataset version: {counted(len(changed), 'document')} not the same ({shown})"


def _is_another(first: DocumentScore | DocumentItem, second: DocumentScore | DocumentItem) -> bool:
    if first.doc_hash and second.doc_hash:
        return first.doc_hash != second.doc_hash
    return first.target != second.target
