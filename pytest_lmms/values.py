"""What a user may write for a setting, and what it means: each takes the text and the place where it stands.

Every one raises `UsageError` for text that it does not understand; the message names the place and what is expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

from pytest_lmms.errors import UsageError, did_you_mean, explain
from pytest_lmms.scoring.reasoning import Tags, parse_reasoning_tags


def words(text: str, where: str) -> str:
    """Any text."""
    return text


def names(text: str, where: str) -> str:
    """Names separated by commas; split where they are used."""
    return text


def seed(text: str, where: str) -> int:
    """A number, or lmms-eval's four: for python, numpy, torch and the examples. Only the last two decide anything."""
    if "," not in text:
        return integer(text, where)
    parts = [p.strip() for p in text.split(",")]
    deciding = {p for p in parts[2:4] if p != "None"}
    if len(parts) not in (3, 4) or len(deciding) != 1:
        expected = "one number; of lmms-eval's four, torch's and the examples' have to be the same"
        raise UsageError(explain(f"{text!r} is no seed", where=where, expected=expected))
    return integer(deciding.pop(), where)


def integer(text: str, where: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise UsageError(explain(f"{text!r} is no whole number", where=where)) from None


def natural(text: str, where: str) -> int:
    """A whole number from 0."""
    value = integer(text, where)
    if value < 0:
        raise UsageError(explain(f"{value} is negative", where=where, expected="0 or more"))
    return value


def count(text: str, where: str) -> int:
    """A whole number from 1."""
    value = integer(text, where)
    if value < 1:
        raise UsageError(explain(f"{value}", where=where, expected="1 or more"))
    return value


def amount(text: str, where: str) -> float:
    """A number from 0."""
    try:
        value = float(text)
    except ValueError:
        raise UsageError(explain(f"{text!r} is no number", where=where)) from None
    if not 0 <= value < float("inf"):
        raise UsageError(explain(text, where=where, expected="0 or more"))
    return value


def shard(text: str, where: str) -> tuple[int, int]:
    """`K/N`: the K-th of N parts."""
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(explain(f"{text!r} is no shard", where=where, expected="K/N, such as 3/8: the third of eight"))
    return int(match[1]), int(match[2])


def seconds(text: str, where: str) -> float:
    """A number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        raise UsageError(explain(f"{text!r} is no number of seconds", where=where)) from None
    if not 0 < value <= _LONGEST:  # nan and inf are refused as well
        raise UsageError(explain(f"{text} s", where=where, expected="more than 0 seconds, a year at most"))
    return value


_LONGEST = 366 * 24 * 3600
"""Seconds; waiting for much longer than that overflows the clocks of some systems."""


def baseline_name(text: str, where: str) -> str:
    """A name that is a folder's as well."""
    if not re.fullmatch(r"\w[\w.+-]*", text):
        expected = "letters, digits, - _ . and +, such as main or release-1.2"
        raise UsageError(explain(f"{text!r} is no name of a baseline", where=where, expected=expected))
    return text


def limit(text: str, where: str) -> float | None:
    """A number of documents, a fraction below 1, or -1 for all, which is None."""
    try:
        value = float(text)
    except ValueError:
        raise UsageError(
            explain(f"{text!r} is no limit", where=where, expected="a number of documents, a fraction below 1, or -1")
        ) from None
    if value == -1:
        return None
    if not 0 < value < 1e15 or (value > 1 and value % 1):  # nan and inf are refused as well
        raise UsageError(
            explain(f"{text} is no limit", where=where, expected="a number of documents, a fraction below 1, or -1")
        )
    return value


def choice(*known: str) -> Callable[[str, str], str]:
    """A parser of one of some words."""

    def parse(text: str, where: str) -> str:
        if text not in known:
            raise UsageError(
                explain(
                    f"{text!r}",
                    where=where,
                    expected="one of " + ", ".join(known),
                    suggestion=did_you_mean(text, known),
                )
            )
        return text

    return parse


def batch_size(text: str, where: str) -> int | Literal["auto"]:
    """A whole number from 1, or `auto`."""
    if text == "auto":
        return "auto"
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise UsageError(explain(f"{text!r} is no batch size", where=where, expected="a whole number from 1, or auto"))
    return value


def arguments(text: str, where: str) -> dict[str, Any]:
    """`key=value,key=value`."""
    from pytest_lmms.model_args import parse_model_args

    return parse_model_args(text, where=where)


def max_errors(text: str, where: str) -> tuple[float, bool]:
    """`N` or `P%`: the number, and whether it is a percentage."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text.strip())
    if not match or (not match[2] and "." in match[1]) or (match[2] and float(match[1]) > 100):
        raise UsageError(
            explain(f"{text!r}", where=where, expected="a number of documents, or a percentage such as 1%")
        )
    return float(match[1]), bool(match[2])


def yes(text: str, where: str) -> bool:
    """Yes or no."""
    lowered = text.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise UsageError(explain(f"{text!r}", where=where, expected="true or false"))


def reasoning_tags(text: str, where: str) -> Tags:
    """JSON pairs, or `none`."""
    return parse_reasoning_tags(text, where=where)
