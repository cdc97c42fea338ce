"""Standard errors and confidence intervals of a mean or of any statistic."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from operator import itemgetter
from statistics import NormalDist
from typing import Any, NamedTuple, TypeVar

from pytest_lmms.stats.numbers import (
    MIN_VALUES,
    deviations,
    finite,
    require_equal_lengths,
    require_probability,
    special,
    sum_of_squares,
)

Item = TypeVar("Item")
_INDICES_PER_CHUNK = 1_000_000


class Interval(NamedTuple):
    """A confidence interval, in the unit of the values it was made from."""

    low: float
    high: float


def standard_error_clt(values: Sequence[float]) -> float | None:
    """Return the standard error of the mean by the central limit theorem.

    The sample standard deviation (divisor n - 1) over the square root of n.

    Args:
        values: One score per document, in any unit.

    Returns:
        In the unit of the values, 0 or more; None for fewer than two values.
    """
    num_values = len(values)
    if num_values < MIN_VALUES:
        return None
    return math.sqrt(sum_of_squares(deviations(values)) / (num_values - 1) / num_values)


def standard_error_clustered(values: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """Return the standard error of the mean when documents come in related clusters.

    For example several questions about one video. With d = value - mean and SE the CLT error, the
    definition is ``sqrt(SE**2 + (1/n**2) * sum over clusters of ((sum of d)**2 - sum of d**2))``
    (arXiv:2411.00640). It is computed as
    ``sqrt(sum of d**2 / (n - 1) + sum over clusters of (sum of d)**2) / n``, the same with its
    terms regrouped so that none is negative: rounding cannot bring a negative number under the
    root. With one document per cluster it equals `standard_error_clt`.

    Args:
        values: One score per document.
        clusters: The cluster of each document, in the same order.

    Returns:
        In the unit of the values, 0 or more; None for fewer than two values or a single cluster.

    Raises:
        ValueError: The two sequences differ in length.
    """
    require_equal_lengths(values, clusters)
    num_values = len(values)
    deviations_by_cluster: dict[Hashable, list[float]] = {}
    by_document = deviations(values)
    for deviation, cluster in zip(by_document, clusters, strict=True):
        deviations_by_cluster.setdefault(cluster, []).append(deviation)
    if len(deviations_by_cluster) < MIN_VALUES:
        return None
    between = sum_of_squares([math.fsum(members) for members in deviations_by_cluster.values()])
    return math.sqrt(sum_of_squares(by_document) / (num_values - 1) + between) / num_values


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
    itself is called once per resample.

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

    generator = np.random.default_rng(seed)
    rows_per_chunk = max(1, _INDICES_PER_CHUNK // num_items)
    estimates: list[float] = []
    while len(estimates) < iterations:
        num_rows = min(rows_per_chunk, iterations - len(estimates))
        for row in generator.integers(0, num_items, size=(num_rows, num_items)).tolist():
            estimate = finite(statistic(list(itemgetter(*row)(items))))
            if estimate is None:
                return None
            estimates.append(estimate)
    return math.sqrt(sum_of_squares(deviations(estimates)) / (iterations - 1))


def pooled_standard_error(standard_errors: Sequence[float | None], sizes: Sequence[int]) -> float | None:
    """Return the standard error of a group's mean from those of its members.

    Pooled variance over k members of n documents each:
    ``sqrt(sum of (n - 1) * n * se**2 / (N - k) / N)`` with N the sum of all n. It holds for means
    weighted by size.

    Args:
        standard_errors: Of each member's mean; None where a member has none.
        sizes: Number of documents of each member, in the same order.

    Returns:
        In the unit of the members, 0 or more; None when a member has no error or all have one
        document or none.

    Raises:
        ValueError: The two sequences differ in length.
    """
    require_equal_lengths(standard_errors, sizes)
    total = sum(sizes)
    freedom = total - len(sizes)
    known = [error for error in standard_errors if error is not None]
    if len(known) < len(sizes) or freedom <= 0:
        return None
    weighted = [(n - 1) * n * error**2 for error, n in zip(known, sizes, strict=True)]
    return math.sqrt(math.fsum(weighted) / freedom / total)


def confidence_interval(
    mean: float,
    standard_error: float,
    *,
    confidence: float = 0.95,
    degrees_of_freedom: int | None = None,
) -> Interval:
    """Return the two-sided confidence interval around a mean.

    Args:
        mean: The centre.
        standard_error: In the unit of the mean, 0 or more.
        confidence: Probability that such an interval holds the true mean, between 0 and 1.
        degrees_of_freedom: Of Student's t distribution; None takes the normal distribution.

    Raises:
        ValueError: A number is out of its range.
    """
    require_probability("confidence", confidence)
    if not standard_error >= 0:
        message = f"standard_error must be 0 or more, not {standard_error!r}"
        raise ValueError(message)
    tail = (1 + confidence) / 2
    if degrees_of_freedom is None:
        quantile = NormalDist().inv_cdf(tail)
    elif degrees_of_freedom >= 1:
        quantile = float(special().stdtrit(degrees_of_freedom, tail))
    else:
        message = f"degrees_of_freedom must be 1 or more, not {degrees_of_freedom!r}"
        raise ValueError(message)
    return Interval(mean - quantile * standard_error, mean + quantile * standard_error)
