"""OfficeQA: numbers from public reports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.documents import answers_of, document_prompt, has_right_letter, pages_of, simplified

Doc = Mapping[str, Any]
QUESTION_COLUMNS = ("question", "query", "prompt", "instruction")


def officeqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the pages of the row, if it has any."""
    return pages_of(doc)


def officeqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question, lettered options if any, and instruction."""
    return document_prompt(doc, kwargs, QUESTION_COLUMNS)


def officeqa_doc_to_target(doc: Doc) -> str:
    """Return the first right answer."""
    return next(iter(answers_of(doc)), "")


def _number(text: str) -> float | None:
    text = text.replace(",", "")
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return float(text) if re.fullmatch(r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)", text) else None
    except ValueError:
        return None


def _is_right(answer: str, gold: str) -> bool:
    """Compare numbers with 5 % tolerance, none around zero, and other texts for equality."""
    number, gold_number = _number(answer), _number(gold)
    if number is None or gold_number is None:
        return answer == gold
    return number == 0 if gold_number == 0 else abs(number - gold_number) / abs(gold_number) <= 0.05


def officeqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: near enough to a right one, or the letter of the right option."""
    answer = simplified(results[0])
    golds = [gold for gold in map(simplified, answers_of(doc)) if gold]
    is_right = bool(answer) and any(_is_right(answer, gold) for gold in golds)
    return {"officeqa_relaxed_accuracy": float(is_right or has_right_letter(results[0], doc))}
