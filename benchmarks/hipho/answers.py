"""Answers to physics problems: reading them from a response, comparing them as texts and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

TOLERANCE = 1e-3
SMALLEST_FOR_RELATIVE = 1e-6
_OPENING, _CLOSING = "([{", ")]}"
_BOX = "\\boxed{"
_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?"


def split_top(text: str) -> list[str]:
    """Split at commas and semicolons that are in no brackets; blank parts are left out."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING and depth > 0)
        if character in ",;" and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [part.strip() for part in (*parts, text[start:]) if part.strip()]


def _boxes(text: str) -> Iterator[str]:
    """What stands in boxes, those inside others left out, up to the first that is not closed."""
    start = text.find(_BOX)
    while start >= 0:
        start += len(_BOX)
        depth, end = 1, start
        while depth and end < len(text):
            depth += (text[end] == "{") - (text[end] == "}")
            end += 1
        if depth:
            return
        yield text[start : end - 1].strip()
        start = text.find(_BOX, end)


def read_answers(text: str) -> list[str]:
    """Read the answers of a response: in boxes, after "Final Answer:", or on the last line."""
    if boxes := list(_boxes(text)):
        return [part for box in boxes for part in split_top(box)] or boxes
    if found := re.search(r"final\s+answer\s*[:\N{FULLWIDTH COLON}]\s*(.+)", text, re.IGNORECASE):
        return split_top(found.group(1)) or [found.group(1).strip()]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (split_top(lines[-1]) or lines[-1:]) if lines else []


def _simple(text: str) -> str:
    text = text.strip().strip("$").replace("\N{MINUS SIGN}", "-")
    text = re.sub(r"\\left|\\right|\\[,!]", "", text)
    text = re.sub(r"\\(?:text|mathrm|mathbf)\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\s+", "", text.lower()).strip(".:;,\N{IDEOGRAPHIC FULL STOP}!?")


def _variants(text: str) -> list[str]:
    simple = _simple(text)
    left, equals, right = simple.partition("=")
    return [variant for variant in ([simple, left, right] if equals else [simple]) if variant]


def _value(text: str) -> float | None:
    """Return a number, a fraction of integers, or the only number inside a text."""
    plain = text.replace(",", "")
    if fraction := re.fullmatch(r"([-+]?\d+)/(\d+)", plain):
        top, bottom = float(fraction.group(1)), float(fraction.group(2))
        return top / bottom if bottom else None
    numbers = re.findall(_NUMBER, plain)
    return float(numbers[0]) if len(numbers) == 1 else None


def _is_near(answer: str, gold: str) -> bool:
    number, gold_number = _value(answer), _value(gold)
    if number is None or gold_number is None:
        return False
    difference = abs(number - gold_number)
    is_near = abs(gold_number) > SMALLEST_FOR_RELATIVE and difference / abs(gold_number) <= TOLERANCE
    return difference <= TOLERANCE or is_near


def is_match(answer: str, gold: str) -> bool:
    """Tell whether two answers, or sides of equations in them, are equal, near in value, or one inside the other."""
    pairs = [(a, g) for a in _variants(answer) for g in _variants(gold)]
    return any(a == g or a in g or g in a or _is_near(a, g) for a, g in pairs)
