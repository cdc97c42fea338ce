"""Power analysis: how many documents tell two models apart."""

from __future__ import annotations

import math
from statistics import NormalDist

from pytest_lmms.stats.numbers import require_positive, require_probability

DEFAULT_STD = 0.5
"""Standard deviation of a document's score when nobody says: the largest for scores 0 to 1."""


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
    require_positive("effect", effect)
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
    require_positive("num_documents", num_documents)
    require_positive("effect", effect)
    require_probability("alpha", alpha)
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
    require_positive("num_documents", num_documents)
    sigma = _difference_std(correlation, std_a, std_b)
    return _z_of(alpha, power) * sigma / math.sqrt(num_documents)


def _z_of(alpha: float, power: float) -> float:
    require_probability("alpha", alpha)
    require_probability("power", power)
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)


def _difference_std(correlation: float, std_a: float | None, std_b: float | None) -> float:
    for name, std in (("std_a", std_a), ("std_b", std_b)):
        if std is not None:
            require_positive(name, std)
    first = next(std for std in (std_a, std_b, DEFAULT_STD) if std is not None)
    second = next(std for std in (std_b, std_a, DEFAULT_STD) if std is not None)
    if not -1 <= correlation <= 1:
        message = f"correlation must lie between -1 and 1, not {correlation!r}"
        raise ValueError(message)
    # Written so that equal deviations at correlation 1 give exactly zero.
    variance = (first - second) ** 2 + 2 * (1 - correlation) * first * second
    if variance == 0:
        message = "two models with correlation 1 and equal standard deviations never differ; give a correlation below 1"
        raise ValueError(message)
    return math.sqrt(variance)
