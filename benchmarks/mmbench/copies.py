"""The letters of MMBench's answers, and the copies of a question with rotated options that are right together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.letters import lone_letter
from pytest_lmms.scoring.subscores import grouped

Doc = Mapping[str, Any]
LETTERS = "ABCDE"
FIRST_COPY = 1_000_000
"""Rows with this index and above are rotated copies; modulo this they name the question they copy."""
NO_API_ANSWER = "Failed to obtain answer via API"


def infer_letter(doc: Doc, response: str) -> str | None:
    """Read a letter: the only one among the words, or that of the only option whose text the response holds."""
    if NO_API_ANSWER not in response and (letter := lone_letter(response, LETTERS)):
        return letter
    texts = {letter: str(doc[letter]).lower() for letter in LETTERS[:4] if doc.get(letter) is not None}
    found = [letter for letter, text in texts.items() if text in response.lower()]
    return found[0] if len(found) == 1 else None


def letter_of(item: Doc) -> str | None:
    """Return the letter that a judge found, else the one that the rules read."""
    return item.get("extracted") or infer_letter(item, item["prediction"])


def hits(items: Sequence[Doc]) -> list[dict[str, Any]]:
    """Score each question: 1 when it and all its copies are answered right."""
    rows = sorted(items, key=lambda item: int(item["index"]))
    copies: dict[int, list[Doc]] = {}
    for row in rows:
        copies.setdefault(int(row["index"]) % FIRST_COPY, []).append(row)
    questions = [row for row in rows if int(row["index"]) < FIRST_COPY]
    return [{**q, "hit": all(letter_of(c) == c["answer"] for c in copies[int(q["index"])])} for q in questions]


def category_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the share of questions answered right, 0 to 100, by finer and by broader category."""
    questions = hits(items)
    broader = grouped([q for q in questions if "L2-category" in q], "L2-category")
    groups = {**grouped(questions, "category"), **{f"L2-{name}": own for name, own in broader.items()}}
    return {name: 100 * fmean(q["hit"] for q in own) for name, own in groups.items()}
