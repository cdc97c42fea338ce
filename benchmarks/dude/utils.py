"""DUDE: questions about documents of several pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.documents import (
    answers_of,
    document_prompt,
    edit_similarity,
    has_right_letter,
    pages_of,
    simplified,
)

Doc = Mapping[str, Any]


def dude_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the pages of the row, if it has any."""
    return pages_of(doc)


def dude_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question, lettered options if any, and instruction."""
    return document_prompt(doc, kwargs)


def dude_doc_to_target(doc: Doc) -> str:
    """Return the first right answer."""
    return next(iter(answers_of(doc)), "")


def dude_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer by its similarity to the nearest right one, or by the letter of the right option."""
    if has_right_letter(results[0], doc):
        return {"dude_anls": 1.0}
    similarities = (edit_similarity(simplified(results[0]), simplified(gold)) for gold in answers_of(doc))
    best = max(similarities, default=0.0)
    return {"dude_anls": best if best >= 0.5 else 0.0}
