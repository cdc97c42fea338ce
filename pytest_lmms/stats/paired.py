"""Two models on the same documents."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from pytest_lmms.stats.intervals import (
    confidence_interval,
    standard_error_clt,
    standard_error_clustered,
)
from pytest_lmms.stats.numbers import require_equal_lengths, require_probability, special


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
    p_less: float | None = None
    """One-sided, 0 to 1: small where the first is worse, so that `mean` is below 0."""


class McNemar(NamedTuple):
    """Right and wrong answers of two models on the same documents, where they disagree."""

    only_first: int
    """Documents that only the first model got right."""
    only_second: int
    """Documents that only the second model got right."""
    p_value: float
    """Two-sided and exact, 0 to 1; 1 when the models never disagree."""
    p_less: float
    """One-sided mid-p, 0 to 1: small where the first is right less often; 0.5 when they never disagree."""


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
        if not; `p_less` is 0.5, 0 or 1.

    Raises:
        ValueError: The sequences differ in length, or `confidence` is out of range.
    """
    require_equal_lengths(a, b)
    require_probability("confidence", confidence)
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
    return tested(num_pairs, mean, error, freedom, confidence)


def tested(num_pairs: int, mean: float, error: float, freedom: int, confidence: float) -> PairedDifference:
    """A t test of a difference with this standard error and so many degrees of freedom, and its interval."""
    if error == 0:
        p_less = 0.5 if mean == 0 else float(mean > 0)
        p_value = float(mean == 0)
    else:
        p_less = float(special().stdtr(freedom, mean / error))
        p_value = float(2 * special().stdtr(freedom, -abs(mean / error)))
    low, high = confidence_interval(mean, error, confidence=confidence, degrees_of_freedom=freedom)
    return PairedDifference(num_pairs, mean, error, low, high, p_value, freedom, p_less)


def mcnemar(a: Sequence[float], b: Sequence[float]) -> McNemar:
    """Test whether two models differ in how often they are right, by McNemar's test.

    Under the null hypothesis each document on which they disagree is a fair coin: the p value is
    that of a two-sided binomial test with probability one half (McNemar, Psychometrika 12, 1947).
    `p_less` counts half of the outcome that was seen (mid-p): an exact one-sided test errs less often than its
    level says, because outcomes are few, and pays for it with power (Fagerland, Lydersen and Laake, BMC Medical
    Research Methodology 13:91, 2013).

    Args:
        a: 1 or True where the first model is right, 0 or False where it is wrong.
        b: The same for the second model, in the same order.

    Raises:
        ValueError: The sequences differ in length, or a value is neither 0 nor 1.
    """
    require_equal_lengths(a, b)
    for value in (*a, *b):
        if value not in (0, 1):
            message = f"McNemar's test needs scores of 0 or 1, not {value!r}"
            raise ValueError(message)
    only_first = sum(1 for first, second in zip(a, b, strict=True) if first > second)
    only_second = sum(1 for first, second in zip(a, b, strict=True) if first < second)
    disagreements = only_first + only_second
    binomial = special().bdtr
    tail = float(binomial(min(only_first, only_second), disagreements, 0.5))
    below = float(binomial(only_first - 1, disagreements, 0.5)) if only_first else 0.0
    p_less = (below + float(binomial(only_first, disagreements, 0.5))) / 2
    return McNemar(only_first, only_second, min(1.0, 2 * tail), p_less)
