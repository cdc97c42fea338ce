"""Metrics that compare an answer's text with the reference texts.

Each is called with keywords: `references`, the right answers; `predictions`, the answers of the
model (one, unless the task keeps several repeats). What a dataset gives as a number is compared as
text.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

from pytest_lmms.regexes.patterns import remove

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NO_DIGITS = str.maketrans("", "", string.digits)


def accuracy(*, references: Sequence[Any], predictions: Sequence[Any]) -> float:
    """Return the fraction of answers that are a reference, letter by letter (0 to 1)."""
    golds = {str(reference) for reference in references}
    return _mean([str(prediction) in golds for prediction in predictions])


def exact_match(
    *,
    references: Sequence[Any],
    predictions: Sequence[Any],
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    ignore_numbers: bool = False,
    regexes_to_ignore: Sequence[str] | None = None,
) -> float:
    """Compare answers with references after removing what does not matter from both.

    Removal runs in this order: patterns, case, punctuation, digits.

    Args:
        references: The right answers.
        predictions: The model's answers.
        ignore_case: Compare in lower case.
        ignore_punctuation: Remove ASCII punctuation.
        ignore_numbers: Remove ASCII digits.
        regexes_to_ignore: Remove what these patterns match.

    Returns:
        With one reference: the fraction of answers that equal it (0 or 1 for a single answer). With
        several: 1.0 if any answer equals any of them, else 0.0.
    """

    def simplify(value: Any) -> str:
        text = str(value)
        for pattern in regexes_to_ignore or ():
            text = remove(re.compile(pattern), text)
        if ignore_case:
            text = text.lower()
        if ignore_punctuation:
            text = text.translate(_NO_PUNCTUATION)
        return text.translate(_NO_DIGITS) if ignore_numbers else text

    golds = {simplify(reference) for reference in references}
    matches = [simplify(prediction) in golds for prediction in predictions]
    return float(any(matches)) if len(references) > 1 else _mean(matches)


def anls(*, references: Sequence[Any], predictions: Sequence[Any], thresh_hold: float = 0.5) -> float:
    """Return the normalised Levenshtein similarity of the first answer to the nearest reference.

    1 minus edit distance over length (Biten et al., "Scene Text Visual Question Answering", 2019).
    The distance is taken in lower case with runs of white space as one space; the length is that of
    the longer text as it was.

    Args:
        references: The right answers.
        predictions: The model's answers; only the first counts.
        thresh_hold: Similarities below it become 0 (the spelling is lmms-eval's).

    Returns:
        0 to 1; 0 without references.
    """
    from rapidfuzz.distance import Levenshtein

    answer = str(predictions[0]) if predictions else ""
    simple_answer = _one_spaced(answer)
    similarity = 0.0
    for reference in references:
        text = str(reference)
        length = max(len(text), len(answer))
        distance = Levenshtein.distance(_one_spaced(text), simple_answer)
        similarity = max(similarity, 1 - distance / length if length else 1.0)
    return similarity if similarity >= thresh_hold else 0.0


def pair(*, references: Sequence[Any], predictions: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return (references, answers) as they are, for metrics that only exist over all documents."""
    return list(references), list(predictions)


def _one_spaced(text: str) -> str:
    return " ".join(text.lower().split())


def _mean(matches: list[bool]) -> float:
    return sum(matches) / len(matches) if matches else 0.0
