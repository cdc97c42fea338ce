"""Answers about documents by their format: integers, numbers, texts, lists; or that there is none."""

from __future__ import annotations

import ast
import re

from pytest_lmms.scoring.documents import edit_similarity

NOT_ANSWERABLE = "not answerable"
MIN_SIMILARITY = 0.5
TOLERANCE = 0.01
MIN_DIGITS = 2
DIGITS_OF_WHOLE_NUMBERS = 3
"""How many decimals a number without a decimal point counts as having."""
_NUMBER = re.compile(r"[-+]?\d*\.?\d+")
_EXACT = re.compile(
    r"https?://|\.(?:py|ipynb)$|^page|^\d+$|^\d+[-\s]\d+$|a\.m\.|p\.m\.|^\d{4}[-\s]\d{2}(?:[-\s]\d{2})?$"
    r"|^[\w.%+-]+@[a-z0-9.-]+\.[a-z]{2,}$"
)
"""Texts that are right only as they are: addresses, files, pages, numbers, ranges, times, dates."""


def clean(text: object) -> str:
    """Return a text in lower case without brackets, quotes, currency, percent and a few units."""
    simple = str(text).lower().strip()
    *closed, rest = simple.split(")")
    simple = ("".join(part.partition("(")[0].rstrip() if "(" in part else part + ")" for part in closed) + rest).strip()
    simple = re.sub(r"^['\"]|['\"]$", "", simple).strip().lstrip("$").strip().rstrip("%").strip()
    for unit in (" miles", " mile", " million"):
        simple = simple.removesuffix(unit)
    return " ".join(simple.split())


def score_answer(gold: str, answer: str, answer_format: str) -> float:
    """Score an answer, 0 to 1.

    Args:
        gold: The right answer.
        answer: The model's answer.
        answer_format: ``Int``, ``Float``, ``Str``, ``List`` or ``None``, in any case.
    """
    kind = answer_format.strip().lower()
    if kind in ("int", "integer"):
        numbers = _first(gold), _first(answer)
        return float(None not in numbers and int(float(numbers[0] or 0)) == int(float(numbers[1] or 0)))
    if kind == "float":
        return float(_is_near(_first(gold), _first(answer)))
    if kind == "list":
        return _score_lists(_listed(gold), _listed(answer))
    if kind == "none":
        return float(clean(answer) == NOT_ANSWERABLE)
    return _score_texts(clean(gold), clean(answer))


def _first(text: str) -> str | None:
    found = _NUMBER.search(text.replace(",", ""))
    return found.group()[:300] if found else None


def _is_near(gold: str | None, answer: str | None) -> bool:
    """Compare a number with the gold one, and with it as a percentage either way."""
    if gold is None or answer is None:
        return False
    number = float(answer)
    for candidate in (float(gold) / 100, float(gold), float(gold) * 100):
        if abs(number - candidate) <= TOLERANCE * max(abs(number), abs(candidate)):
            return True
        digits = max(min(_num_decimals(number), _num_decimals(candidate)), MIN_DIGITS)
        if round(number, digits) == round(candidate, digits):
            return True
    return False


def _num_decimals(number: float) -> int:
    _, point, decimals = str(number).partition(".")
    return len(decimals) if point else DIGITS_OF_WHOLE_NUMBERS


def _score_texts(gold: str, answer: str) -> float:
    if _EXACT.search(gold):
        return float(gold == answer)
    similarity = edit_similarity(answer, gold)
    return similarity if similarity > MIN_SIMILARITY else 0.0


def _listed(text: str) -> list[str]:
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
    listed = value if isinstance(value, list) else [] if value is None else [value]
    return sorted(clean(entry) for entry in listed)


def _score_lists(golds: list[str], answers: list[str]) -> float:
    if len(golds) != len(answers):
        return 0.0
    if not golds:
        return 1.0
    if _NUMBER.search(golds[0]) or _EXACT.search(golds[0]):
        return float(golds == answers)
    return min(_score_texts(gold, answer) for gold, answer in zip(golds, answers, strict=True))
