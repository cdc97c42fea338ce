"""OmniDocBench, as an exact-match probe on pages of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.documents import answers_of, document_prompt, has_right_letter, pages_of, simplified

Doc = Mapping[str, Any]


def omnidocbench_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the pages of the row, if it has any."""
    return pages_of(doc)


def omnidocbench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question, lettered options if any, and instruction."""
    return document_prompt(doc, kwargs)


def omnidocbench_doc_to_target(doc: Doc) -> str:
    """Return the first right answer."""
    return next(iter(answers_of(doc)), "")


def omnidocbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: equal to a right one, or the letter of the right option."""
    answer = simplified(results[0])
    is_right = answer in map(simplified, answers_of(doc)) or has_right_letter(results[0], doc)
    return {"omnidocbench_exact_match": float(is_right)}
