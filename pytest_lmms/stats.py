"""How sure a number is: standard errors, paired tests, power analysis, stability over repeats.

Pure functions over sequences of numbers. This room knows no task, no record and no file. It refuses
to guess: where a figure has no meaning (one value, one cluster), the answer is None and never zero
or NaN. numpy and scipy are imported by the few functions that need them, so importing this module
costs nothing.

Sources: Evan Miller, "Adding Error Bars to Evals" (arXiv:2411.00640), for clustered and paired
errors and for the power analysis; Efron and Tibshirani, "An Introduction to the Bootstrap" (1993),
for the bootstrap.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Hashable, Sequence
from operator import itemgetter
from statistics import NormalDist
from typing import Any, NamedTuple, TypeVar

Item = TypeVar("Item")

DEFAULT_STD = 0.5
"""Standard deviation of a document's score when nobody says: the largest for scores 0 to 1."""

_INDICES_PER_CHUNK = 1_000_000
_MIN_VALUES = 2


class Interval(NamedTuple):
    """A confidence interval, in the unit of the values it was made from."""

    low: float
    high: float


class PairedDifference(NamedTuple):
    """How much the first of two models is better on the same documents; None where unknowable."""

    num_pairs: int
    mean: float | None
    """Mean of a - b, in the unit of the scores."""
    standard_error: float | None
    low: float | None
    """Lower end of the confidence interval of `mean`."""
    high: float | None
    """Upper end of the confidence interval of `mean`."""
    p_value: float | None
    """Two-sided, 0 to 1."""
    degrees_of_freedom: int | None


class McNemar(NamedTuple):
    """Right and wrong answers of two models on the same documents, where they disagree."""

    only_first: int
    """Documents that only the first model got right."""
    only_second: int
    """Documents that only the second model got right."""
    p_value: float
    """Two-sided and exact, 0 to 1; 1 when the models never disagree."""


# Standard errors


def standard_error_clt(values: Sequence[float]) -> float | None:
    """Return the standard error of the mean by the central limit theorem.

    The sample standard deviation (divisor n - 1) over the square root of n.

    Args:
        values: One score per document, in any unit.

    Returns:
        In the unit of the values, 0 or more; None for fewer than two values.
    """
    num_values = len(values)
    if num_values < _MIN_VALUES:
        return None
    return math.sqrt(_sum_of_squares(_deviations(values)) / (num_values - 1) / num_values)


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
    _require_equal_lengths(values, clusters)
    num_values = len(values)
    deviations_by_cluster: dict[Hashable, list[float]] = {}
    deviations = _deviations(values)
    for deviation, cluster in zip(deviations, clusters, strict=True):
        deviations_by_cluster.setdefault(cluster, []).append(deviation)
    if len(deviations_by_cluster) < _MIN_VALUES:
        return None
    between = _sum_of_squares([math.fsum(members) for members in deviations_by_cluster.values()])
    return math.sqrt(_sum_of_squares(deviations) / (num_values - 1) + between) / num_values


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
    if num_items < _MIN_VALUES or iterations < _MIN_VALUES:
        return None
    import numpy as np

    generator = np.random.default_rng(seed)
    rows_per_chunk = max(1, _INDICES_PER_CHUNK // num_items)
    estimates: list[float] = []
    while len(estimates) < iterations:
        num_rows = min(rows_per_chunk, iterations - len(estimates))
        for row in generator.integers(0, num_items, size=(num_rows, num_items)).tolist():
            estimate = _finite(statistic(list(itemgetter(*row)(items))))
            if estimate is None:
                return None
            estimates.append(estimate)
    return math.sqrt(_sum_of_squares(_deviations(estimates)) / (iterations - 1))


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
    _require_equal_lengths(standard_errors, sizes)
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
    _require_probability("confidence", confidence)
    if not standard_error >= 0:
        message = f"standard_error must be 0 or more, not {standard_error!r}"
        raise ValueError(message)
    tail = (1 + confidence) / 2
    if degrees_of_freedom is None:
        quantile = NormalDist().inv_cdf(tail)
    elif degrees_of_freedom >= 1:
        quantile = float(_special().stdtrit(degrees_of_freedom, tail))
    else:
        message = f"degrees_of_freedom must be 1 or more, not {degrees_of_freedom!r}"
        raise ValueError(message)
    return Interval(mean - quantile * standard_error, mean + quantile * standard_error)


# Two models on the same documents


def paired_difference(
    a: Sequence[float],
    b: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = 0.95,
) -> PairedDifference:
    """Compare two models document by document: mean of a - b, its interval and a two-sided t test.

    Pairing takes out what both models share, the difficulty of each document (arXiv:2411.00640).

    Args:
        a: Scores of the first model.
        b: Scores of the second model on the same documents, in the same order and unit.
        clusters: Which documents belong together; the error is then clustered, and the test has one
            degree of freedom less than there are clusters. None: documents are independent.
        confidence: Of the interval, between 0 and 1.

    Returns:
        Fields are None where they have no meaning: everything for no pairs, all but `mean` for one
        pair or one cluster. When all differences are equal, `p_value` is 1 if they are zero and 0
        if not.

    Raises:
        ValueError: The sequences differ in length, or `confidence` is out of range.
    """
    _require_equal_lengths(a, b)
    _require_probability("confidence", confidence)
    differences = [float(first) - float(second) for first, second in zip(a, b, strict=True)]
    num_pairs = len(differences)
    if not differences:
        return PairedDifference(0, None, None, None, None, None, None)
    mean = math.fsum(differences) / num_pairs
    if clusters is None:
        error, freedom = standard_error_clt(differences), num_pairs - 1
    else:
        error, freedom = standard_error_clustered(differences, clusters), len(set(clusters)) - 1
    if error is None:
        return PairedDifference(num_pairs, mean, None, None, None, None, None)
    if error == 0:
        p_value = 1.0 if mean == 0 else 0.0
    else:
        p_value = float(2 * _special().stdtr(freedom, -abs(mean / error)))
    low, high = confidence_interval(mean, error, confidence=confidence, degrees_of_freedom=freedom)
    return PairedDifference(num_pairs, mean, error, low, high, p_value, freedom)


def mcnemar(a: Sequence[float], b: Sequence[float]) -> McNemar:
    """Test whether two models differ in how often they are right, by McNemar's exact test.

    Under the null hypothesis each document on which they disagree is a fair coin: the p value is
    that of a two-sided binomial test with probability one half (McNemar, Psychometrika 12, 1947).

    Args:
        a: 1 or True where the first model is right, 0 or False where it is wrong.
        b: The same for the second model, in the same order.

    Raises:
        ValueError: The sequences differ in length, or a value is neither 0 nor 1.
    """
    _require_equal_lengths(a, b)
    for value in (*a, *b):
        if value not in (0, 1):
            message = f"McNemar's test needs scores of 0 or 1, not {value!r}"
            raise ValueError(message)
    only_first = sum(1 for first, second in zip(a, b, strict=True) if first > second)
    only_second = sum(1 for first, second in zip(a, b, strict=True) if first < second)
    disagreements = only_first + only_second
    tail = float(_special().bdtr(min(only_first, only_second), disagreements, 0.5))
    return McNemar(only_first, only_second, min(1.0, 2 * tail))


# Power analysis: how many documents tell two models apart


def sample_size(
    effect: float = 0.03,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    correlation: float = 0.5,
    std_a: float | None = None,
    std_b: float | None = None,
) -> int:
    """Return how many documents a paired comparison needs to detect a difference.

    ``ceil(((z(1 - alpha/2) + z(power)) * sigma / effect)**2)``, sigma being the standard deviation
    of the difference on one document,
    ``sqrt(std_a**2 + std_b**2 - 2 * correlation * std_a * std_b)`` (arXiv:2411.00640). The defaults
    give 2181.

    Args:
        effect: Difference of the two means that must not be missed, in the unit of the scores,
            above 0.
        alpha: Probability of seeing a difference where there is none (two-sided), between 0 and 1.
        power: Probability of seeing the difference when it is there, between 0 and 1.
        correlation: Of the two models' scores over documents, -1 to 1.
        std_a: Standard deviation of the first model's scores, above 0. None: that of the other
            model, else `DEFAULT_STD`.
        std_b: The same for the second model.

    Raises:
        ValueError: A number is out of its range, or the two models could never differ (correlation
            1 with equal standard deviations).
    """
    _require_positive("effect", effect)
    sigma = _difference_std(correlation, std_a, std_b)
    return math.ceil((_z_of(alpha, power) * sigma / effect) ** 2)


def power(
    num_documents: int,
    effect: float = 0.03,
    *,
    alpha: float = 0.05,
    correlation: float = 0.5,
    std_a: float | None = None,
    std_b: float | None = None,
) -> float:
    """Return the probability that a paired comparison sees a difference that is there.

    ``Phi(effect / sigma * sqrt(n) - z(1 - alpha/2))``; the far tail is neglected.

    Args:
        num_documents: How many documents both models answer, 1 or more.
        effect: See `sample_size`, as for the other arguments.
        alpha: See `sample_size`.
        correlation: See `sample_size`.
        std_a: See `sample_size`.
        std_b: See `sample_size`.

    Returns:
        Between 0 and 1, not rounded.

    Raises:
        ValueError: As `sample_size`.
    """
    _require_positive("num_documents", num_documents)
    _require_positive("effect", effect)
    _require_probability("alpha", alpha)
    normal = NormalDist()
    sigma = _difference_std(correlation, std_a, std_b)
    return normal.cdf(effect / sigma * math.sqrt(num_documents) - normal.inv_cdf(1 - alpha / 2))


def minimum_detectable_effect(
    num_documents: int,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    correlation: float = 0.5,
    std_a: float | None = None,
    std_b: float | None = None,
) -> float:
    """Return the smallest difference that a paired comparison sees with the given power.

    ``(z(1 - alpha/2) + z(power)) * sigma / sqrt(n)``, the inverse of `sample_size`.

    Args:
        num_documents: How many documents both models answer, 1 or more.
        alpha: See `sample_size`, as for the other arguments.
        power: See `sample_size`.
        correlation: See `sample_size`.
        std_a: See `sample_size`.
        std_b: See `sample_size`.

    Returns:
        In the unit of the scores, above 0, not rounded.

    Raises:
        ValueError: As `sample_size`.
    """
    _require_positive("num_documents", num_documents)
    sigma = _difference_std(correlation, std_a, std_b)
    return _z_of(alpha, power) * sigma / math.sqrt(num_documents)


# Stability over repeats: scores[document][repeat]


def expected_accuracy(scores: Sequence[Sequence[float]]) -> float | None:
    """Return the mean score over all repeats of all documents (EA); None when there is none."""
    flat = [score for repeats in scores for score in repeats]
    return math.fsum(flat) / len(flat) if flat else None


def consensus_accuracy(scores: Sequence[Sequence[float]]) -> float | None:
    """Return the fraction of documents that more than half of their repeats get right (CA).

    A document counts when its scores sum to more than half the number of its repeats; a tie is not
    enough.

    Args:
        scores: Per document the scores of its repeats, each 0 to 1. Documents without repeats are
            left out.

    Returns:
        0 to 1; None when there is no document.
    """
    documents = [repeats for repeats in scores if repeats]
    if not documents:
        return None
    return sum(math.fsum(repeats) > len(repeats) / 2 for repeats in documents) / len(documents)


def internal_variance(scores: Sequence[Sequence[float]]) -> float | None:
    """Return the mean over documents of the variance (divisor k - 1) of a document's repeats (IV).

    Args:
        scores: Per document the scores of its repeats. Documents with fewer than two are left out.

    Returns:
        In the unit of the scores, squared; None when no document has two repeats.
    """
    variances = [
        _sum_of_squares(_deviations(repeats)) / (len(repeats) - 1) for repeats in scores if len(repeats) >= _MIN_VALUES
    ]
    return math.fsum(variances) / len(variances) if variances else None


def consistency_rate(scores: Sequence[Sequence[float]]) -> float | None:
    """Return the fraction of documents all of whose repeats have the same score (CR).

    Args:
        scores: Per document the scores of its repeats. Documents without repeats are left out.

    Returns:
        0 to 1; None when there is no document.
    """
    documents = [repeats for repeats in scores if repeats]
    if not documents:
        return None
    return sum(len(set(repeats)) == 1 for repeats in documents) / len(documents)


# Helpers


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that at least one of k answers, drawn without replacement, is right.

    The unbiased estimator of Chen et al., "Evaluating Large Language Models Trained on Code" (arXiv:2107.03374).

    Args:
        num_samples: Answers to one document, >= k.
        num_correct: How many of them are right, 0 to `num_samples`.
        k: Draws, >= 1.

    Returns:
        0 to 1.

    Raises:
        ValueError: A number out of its range.
    """
    if not 1 <= k <= num_samples or not 0 <= num_correct <= num_samples:
        raise ValueError(f"pass@k of {num_correct} right answers in {num_samples}, k = {k}: expected 1 <= k <= samples")
    return 1.0 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def _special() -> Any:
    """Distributions, without the half second that importing `scipy.stats` takes."""
    return importlib.import_module("scipy.special")


def _deviations(values: Sequence[float]) -> list[float]:
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


def _sum_of_squares(values: Sequence[float]) -> float:
    return math.fsum([value * value for value in values])


def _finite(value: Any) -> float | None:
    """`value` as a float when it is a finite real number; bool counts as one, text does not."""
    if isinstance(value, (str, bytes)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _z_of(alpha: float, power: float) -> float:
    _require_probability("alpha", alpha)
    _require_probability("power", power)
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)


def _difference_std(correlation: float, std_a: float | None, std_b: float | None) -> float:
    first = next(std for std in (std_a, std_b, DEFAULT_STD) if std is not None)
    second = next(std for std in (std_b, std_a, DEFAULT_STD) if std is not None)
    _require_positive("std_a", first)
    _require_positive("std_b", second)
    if not -1 <= correlation <= 1:
        message = f"correlation must lie between -1 and 1, not {correlation!r}"
        raise ValueError(message)
    # Written so that equal deviations at correlation 1 give exactly zero.
    variance = (first - second) ** 2 + 2 * (1 - correlation) * first * second
    if variance == 0:
        message = "two models with correlation 1 and equal standard deviations never differ; give a correlation below 1"
        raise ValueError(message)
    return math.sqrt(variance)


def _require_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        message = f"{name} must be above 0, not {value!r}"
        raise ValueError(message)


def _require_probability(name: str, value: float) -> None:
    if not 0 < value < 1:
        message = f"{name} must lie between 0 and 1, not {value!r}"
        raise ValueError(message)


def _require_equal_lengths(first: Sequence[Any], second: Sequence[Any]) -> None:
    if len(first) != len(second):
        message = f"sequences of equal length are needed, not {len(first)} and {len(second)}"
        raise ValueError(message)
