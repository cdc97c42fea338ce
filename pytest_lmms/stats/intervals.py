"""Standard errors and confidence intervals of a mean."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

from pytest_lmms.stats.numbers import (
    MIN_VALUES,
    deviations,
    require_equal_lengths,
    require_probability,
    special,
    sum_of_squares,
)


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
