"""What an open answer concludes: several candidates, in words and numbers, compared with one gold answer.

MMMU's rule with more cues, as benchmarks made after it use it; see `choices.read_conclusion` for the first one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pytest_lmms.scoring.choices import CONCLUSION_CUES, TRIMMED_MARKS, shortest_after

CUES = (
    *CONCLUSION_CUES, "are ", "in total ", "total ", "identify ", "recognize ", "calculated as ", "counted as ",
    "measured as ", "observed as ", "concluded as ", "found to be ", "equals ", "determined to be ", "number of ",
    "value is ", "adds up to ", "have ", "has ",
)  # fmt: skip
NUMBERS = (
    r"-?\b\d{1,3}(?:,\d{3})+\b",
    r"-?(?<!\d)\d+(?:\.\d+)?[eE][+-]?\d+",
    r"-?(?:(?<!\d)\d+\.\d+|\.\d+|(?<!\d)\d+\b)(?![eE][+-]?\d)(?![,\d])",
)
"""How MMMU itself looks for numbers: with thousands' commas, with an exponent, plain; none before a comma."""


def _normal(text: str) -> list[Any]:
    """A number to two decimals, else lower case; a lone character with a blank before or after it."""
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.strip().lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def read_conclusions(text: str, cues: Sequence[str] = CUES) -> list[Any]:
    """Return the shortest text after a cue in each line (``=`` too in the last), and the numbers in these.

    Args:
        text: The answer.
        cues: What stands before a conclusion.
    """
    text = text.strip().strip(".").lower()
    *lines, last = text.split("\n")
    tails = [shortest_after(cues, line) for line in lines] + [shortest_after((*cues, "="), last)]
    said = [tail for tail in tails if tail and tail not in set(TRIMMED_MARKS)] or [text]
    pieces = said + [number for piece in said for form in NUMBERS for number in re.findall(form, piece)]
    return list(dict.fromkeys(value for piece in pieces for value in _normal(piece)))


def is_concluded(gold: str, conclusions: Sequence[Any]) -> bool:
    """Tell whether a conclusion is the gold number, or contains the gold text."""
    golds = _normal(gold)
    texts = [g for g in golds if isinstance(g, str)]
    return any(any(g in c for g in texts) if isinstance(c, str) else c in golds for c in conclusions)
