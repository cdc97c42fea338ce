"""Answers about long contexts: yes or no, lists of counts, choices among images, texts."""

from __future__ import annotations

import ast
import re
import string
from typing import Any

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
MAX_DIGITS = 18


def score_answer(prediction: str, answer: Any, *, is_yes_or_no: bool) -> bool:
    """Tell whether a prediction is right.

    Args:
        prediction: The answer read from the response.
        answer: A list of counts (their sum is compared), the number of a choice, or a text that the prediction holds.
        is_yes_or_no: Whether the last "yes" or "no" on either side is compared instead.
    """
    if is_yes_or_no:
        return _last_yes_or_no(prediction) == _last_yes_or_no(str(answer))
    if isinstance(answer, list):
        return sum(count for count in answer if isinstance(count, int)) == sum(read_counts(prediction))
    if isinstance(answer, int):
        return read_choice(prediction) == answer
    gold = _plain(answer) if isinstance(answer, str) else ""
    return bool(gold) and gold in _plain(prediction)


def _last_yes_or_no(text: str) -> str:
    found: list[str] = re.findall(r"\b(yes|no)\b", text.lower())
    return found[-1] if found else ""


def _plain(text: str) -> str:
    return " ".join(text.translate(_NO_PUNCTUATION).lower().split())


def read_counts(text: str) -> list[int]:
    """Return the integers of the last list in brackets that holds only numbers, or else all integers in the text."""
    for listed in reversed(re.findall(r"\[[\s\d.,'\"+\-eE]{0,4000}\]", text)):
        try:
            counts = [int(entry) for entry in ast.literal_eval(listed)]
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, OverflowError):
            continue
        if counts:
            return counts
    return [int(digits) for digits in re.findall(rf"-?\d{{1,{MAX_DIGITS}}}", text)]


def read_choice(text: str) -> int:
    """Return the position of the choice that a text names by a letter A to J or by its position; -1 without any."""
    text = text.upper()
    if announced := re.search(r"ANSWER\s*(?:[:\-]\s*)?(?:\(\s*)?([A-J])", text):
        return ord(announced.group(1)) - ord("A")
    for pattern in (r"\b([A-J])\b", r"\b(\d{1,9})\b"):
        for line in text.splitlines():
            if found := re.findall(pattern, line):
                return int(found[-1]) if found[-1].isdigit() else ord(found[-1]) - ord("A")
    return -1
