"""Numbers in answers: reading them, comparing them with tolerance.

Knows digits, signs, percent and the first number words; knows no benchmark.
"""

from __future__ import annotations

import re

NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
INTEGER = re.compile(r"-?\d+")


def parse_float(text: str) -> float | None:
    """Read a whole text as a number; ``"5%"`` is 0.05. Thousands separators are not understood.

    Returns:
        The number, or None.
    """
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def relaxed_match(answer: str, gold: str, *, tolerance: float = 0.05) -> bool:
    """Tell whether an answer is right in the sense of ChartQA: numbers nearly, other text in any case, equal.

    A gold of zero is compared as text.

    Args:
        answer: The model's answer.
        gold: The right answer.
        tolerance: Largest relative difference, inclusive; 0 to 1.
    """
    number, gold_number = parse_float(answer), parse_float(gold)
    if number is not None and gold_number:
        return abs(number - gold_number) / abs(gold_number) <= tolerance
    return answer.lower() == gold.lower()


def find_numbers(text: str) -> list[float]:
    """Return all numbers in a text, in order: digits with an optional sign and decimals."""
    return [float(found) for found in NUMBER.findall(text)]


def find_integer(text: str, *, last: bool = False) -> int | None:
    """Return the first (or last) run of digits, with its minus sign, as an integer; None without any.

    Runs beyond 4,000 digits, which Python refuses to convert, are no numbers.
    """
    found = INTEGER.findall(text)
    try:
        return int(found[-1 if last else 0]) if found else None
    except ValueError:
        return None
