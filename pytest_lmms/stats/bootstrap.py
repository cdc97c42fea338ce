"""Statistics that are no mean of documents: how sure they are, by drawing the documents again with replacement."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import Any, TypeVar

from pytest_lmms.stats.numbers import (
    MIN_VALUES,
    deviations,
    finite,
    require_equal_lengths,
    require_probability,
    sum_of_squares,
)
from pytest_lmms.stats.paired import PairedDifference, tested

Item = TypeVar("Item")
_INDICES_PER_CHUNK = 1_000_000


@dataclass(frozen=True)
class OfTotals:
    """A statistic that depends on sums over the documents only, as BLEU does on counts of n-grams.

    A draw then costs an addition of a few numbers a document, not a reading of all texts.
    """

    rows: Callable[[Sequence[Any]], Sequence[Sequence[float]]]
    """All items to the numbers of each, which are summed; every row has the same length, 1 or more."""
    value: Callable[[Sequence[float]], float]
    """The sums to the statistic."""
    points: float | None = None
    """What one point is, in the unit of the statistic; None leaves that to its values."""

    def __call__(self, items: Sequence[Any]) -> float:
        """The statistic over all items, at least one."""
        return self.value(_summed(self.rows(items)))


def bootstrap_standard_error(
    items: Sequence[Item],
    statistic: Callable[[list[Item]], Any],
    *,
    iterations: int,
    seed: int,
) -> float | None:
    """Return the standard error of any statistic by resampling the items with replacement.

    The sample standard deviation (divisor iterations - 1) of the statistic over `iterations`
    resamples, each as long as `items`. Indices are drawn by numpy in large blocks; the statistic
    itself is called once per resample, unless it is `OfTotals`, or has such an attribute `totals`.

    Args:
        items: What the statistic aggregates, one per document: numbers, pairs, anything.
        statistic: The aggregation. Must be free of side effects; what it raises passes through.
        iterations: How many resamples; fewer than two switch the estimate off.
        seed: Starts the generator; the same seed gives the same answer.

    Returns:
        In the unit of the statistic, 0 or more; None for fewer than two items or iterations, or
        when the statistic is not a finite number.
    """
    num_items = len(items)
    if num_items < MIN_VALUES or iterations < MIN_VALUES:
        return None
    import numpy as np

    of_totals = _of_totals(statistic)
    rows = None if of_totals is None else np.asarray(of_totals.rows(items), dtype=float)
    generator = np.random.default_rng(seed)
    draws_per_chunk = max(1, _INDICES_PER_CHUNK // num_items)
    estimates: list[float] = []
    while len(estimates) < iterations:
        num_draws = min(draws_per_chunk, iterations - len(estimates))
        for draw in generator.integers(0, num_items, size=(num_draws, num_items)):
            if of_totals is not None and rows is not None:
                estimate = finite(of_totals.value(rows[draw].sum(axis=0).tolist()))
            else:
                estimate = finite(statistic(list(itemgetter(*draw.tolist())(items))))
            if estimate is None:
                return None
            estimates.append(estimate)
    return math.sqrt(sum_of_squares(deviations(estimates)) / (iterations - 1))


def bootstrap_difference(
    a: Sequence[Any],
    b: Sequence[Any],
    statistic: Callable[[list[Any]], Any],
    clusters: Sequence[Hashable] | None = None,
    *,
    iterations: int,
    seed: int,
    confidence: float = 0.95,
) -> PairedDifference:
    """Compare two models by a statistic that is no mean of documents, such as corpus BLEU.

    Documents are drawn with replacement, the same ones for both models, and the statistic's difference is computed anew
    on each draw (Koehn, EMNLP 2004). The spread of these differences is the standard error of the one that was seen;
    the test is a t test with one degree of freedom less than there are draws, or documents where those are fewer; it
    can tell p values that are smaller than counting a few hundred draws could.

    Args:
        a: Items of the first model, one per document: whatever the statistic takes.
        b: Items of the second model on the same documents, in the same order.
        statistic: As of `bootstrap_standard_error`.
        clusters: Which documents belong together, and are drawn together; None: documents are independent.
        iterations: How many draws; the statistic is computed twice on each.
        seed: Starts the generator; the same seed gives the same answer.
        confidence: Of the interval, between 0 and 1.

    Returns:
        As of `paired_difference`, with the statistic's difference for the mean. All but that is None where there are
        fewer than two documents or clusters, or a draw has no finite statistic.

    Raises:
        ValueError: The sequences differ in length, or `confidence` is out of range.
    """
    require_equal_lengths(a, b)
    require_probability("confidence", confidence)
    if not a:
        return PairedDifference(0, None, None, None, None, None, None)
    units = _units(a, b, clusters)
    difference = _difference(statistic)
    seen = difference(units)
    error = bootstrap_standard_error(units, difference, iterations=iterations, seed=seed)
    if error is None:
        return PairedDifference(len(a), seen, None, None, None, None, None)
    freedom = min(iterations, len(units)) - 1
    return tested(len(a), seen, error, freedom, confidence)


_Unit = Sequence[tuple[Any, Any]]
"""Documents that are drawn together: pairs of items."""


def _units(a: Sequence[Any], b: Sequence[Any], clusters: Sequence[Hashable] | None) -> list[_Unit]:
    if clusters is None:
        return [[pair] for pair in zip(a, b, strict=True)]
    require_equal_lengths(a, clusters)
    together: dict[Hashable, list[tuple[Any, Any]]] = {}
    for pair, cluster in zip(zip(a, b, strict=True), clusters, strict=True):
        together.setdefault(cluster, []).append(pair)
    return list(together.values())


def _difference(statistic: Callable[[list[Any]], Any]) -> Callable[[Sequence[_Unit]], float]:
    """How much larger a statistic is over the first items of units than over the second."""
    of_totals = _of_totals(statistic)
    if of_totals is None:

        def difference(units: Sequence[_Unit]) -> float:
            first, second = zip(*chain.from_iterable(units), strict=True)
            return float(statistic(list(first))) - float(statistic(list(second)))

        return difference

    value, rows_of = of_totals.value, of_totals.rows

    def rows(units: Sequence[_Unit]) -> list[list[float]]:
        first, second = zip(*chain.from_iterable(units), strict=True)
        both = zip(rows_of(first), rows_of(second), strict=True)
        return [_summed([*x, *y] for x, y in islice(both, len(unit))) for unit in units]

    def of_both(sums: Sequence[float]) -> float:
        middle = len(sums) // 2
        return value(sums[:middle]) - value(sums[middle:])

    return OfTotals(rows, of_both)


def _summed(rows: Iterable[Sequence[float]]) -> list[float]:
    return [math.fsum(column) for column in zip(*rows, strict=True)]


def _of_totals(statistic: Any) -> OfTotals | None:
    found = statistic if isinstance(statistic, OfTotals) else getattr(statistic, "totals", None)
    return found if isinstance(found, OfTotals) else None
