r"""Equality of mathematical answers, with math-verify; and what stands in a \boxed{}.

The one importer of math-verify. No time limit is possible away from the main thread, so texts that would take
long (very long ones, towers of powers, large factorials) are not evaluated and equal nothing.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from pytest_lmms.errors import UsageError, explain

MAX_LENGTH = 4096
"""Of a longer text only this many characters from its end are read."""
_COSTLY = re.compile(
    r"\d{4,}\s*!|!\s*\)?\s*!"  # factorials of large numbers and of factorials
    r"|(?:\^|\*\*)\s*[{(]?\s*-?\d{4,}"  # powers of a thousand and more
    r"|(?:(?:\^|\*\*)[\s{(]*\d+){2}"  # powers of powers
    r"|[)\]]\s*(?:\^|\*\*)\s*[{(]?\s*(?:\d{3,}|[3-9]\d)"  # brackets that would be multiplied out
    r"|\\(?:binom|sum|prod|int)\b.{0,40}\d{4,}",  # far sums, products and the like
    re.DOTALL,
)


def boxed_texts(text: str) -> list[tuple[int, str]]:
    r"""Return what each ``\boxed{...}`` with balanced braces holds, in the order in which they open.

    Returns:
        (where the content begins, content) of each; a box inside another has its own entry, one that never closes none.
    """
    found, opened = [], []
    for token in re.finditer(r"\\boxed\{|[{}]", text):
        if token.group() != "}":
            opened.append((token.end(), token.group() != "{"))
        elif opened:
            start, is_box = opened.pop()
            if is_box:
                found.append((start, text[start : token.start()]))
    return sorted(found)


def last_boxed(text: str) -> str | None:
    r"""Return what the last ``\boxed{...}`` with balanced braces holds; None without any."""
    boxes = boxed_texts(text)
    return boxes[-1][1] if boxes else None


def math_equal(gold: str, answer: str, *, only_latex: bool = False, strict: bool = True) -> bool:
    r"""Tell whether two texts hold the same mathematical value, for example ``1/2`` and ``\boxed{0.5}``.

    Args:
        gold: The right answer.
        answer: The model's answer.
        only_latex: Whether to read only LaTeX (``$...$``, ``\boxed{}``), not bare numbers; the gold is boxed first.
        strict: Whether variables must have the same names.

    Returns:
        False too where either cannot be read.

    Raises:
        UsageError: math-verify is not installed.
    """
    if not gold.strip() or not answer.strip():
        return False
    try:
        import math_verify
    except ImportError as e:
        raise UsageError(
            explain("comparing mathematical answers needs math-verify", remedy="pip install 'pytest-lmms[metrics]'")
        ) from e
    gold, answer = gold[-MAX_LENGTH:], answer[-MAX_LENGTH:]
    if _COSTLY.search(gold) or _COSTLY.search(answer):
        return False
    settings: dict[str, Any] = {"parsing_timeout": None}
    if only_latex:
        gold = _boxed(gold)
        normalisation = math_verify.parser.NormalizationConfig(
            basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="last", equations=False
        )
        extractor = math_verify.LatexExtractionConfig(normalization_config=normalisation, boxed_match_priority=0)
        settings |= {"extraction_config": [extractor], "extraction_mode": "first_match"}
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # it warns of every call without a time limit
    try:
        parsed = math_verify.parse(answer, **settings)
        golds = math_verify.parse(gold, **settings)
        return bool(parsed) and bool(math_verify.verify(golds, parsed, strict=strict, timeout_seconds=None))
    except Exception:  # noqa: BLE001 (whatever sympy makes of a model's text, it is no right answer)
        return False


def _boxed(gold: str) -> str:
    if gold.startswith("$") and gold.endswith("$"):
        return rf"\boxed{{{gold.strip('$')}}}"
    return gold if r"\boxed" in gold else rf"\boxed{{{gold}}}"
