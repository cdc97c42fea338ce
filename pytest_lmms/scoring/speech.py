"""Word and character error rates: edits between what was said and what was heard.

Knows tokens only; how a text is normalised and split is the benchmark's choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def num_edits(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return the smallest number of substituted, left-out and added tokens."""
    from rapidfuzz.distance import Levenshtein

    return int(Levenshtein.distance(reference, hypothesis))


def error_rate(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> float | None:
    """Return edits over all utterances divided by the number of reference tokens.

    Args:
        pairs: (reference, hypothesis) of each utterance, as tokens: words for a word error rate, characters for a
            character error rate.

    Returns:
        0 or more, 1.0 is 100 %; None when the references are empty.
    """
    edits = length = 0
    for reference, hypothesis in pairs:
        edits += num_edits(reference, hypothesis)
        length += len(reference)
    return edits / length if length else None
