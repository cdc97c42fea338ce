"""Answers to repeated questions: scores[document][repeat]."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_lmms.stats.numbers import MIN_VALUES, deviations, sum_of_squares


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
        sum_of_squares(deviations(repeats)) / (len(repeats) - 1) for repeats in scores if len(repeats) >= MIN_VALUES
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
