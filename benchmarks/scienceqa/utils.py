"""ScienceQA: school science questions, with or without an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.tasks.prompts import instructed, letter_of, option_lines

Doc = Mapping[str, Any]


def sqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image, or nothing for a question without one."""
    return [] if doc["image"] is None else [doc["image"].convert("RGB")]


def sqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return context, question and lettered options."""
    question, options, context = doc["question"], option_lines(doc["choices"]), doc["hint"]
    if kwargs["format"] == "labelled":
        return f"Context: {context or 'N/A'}\nQuestion: {question}\nOptions: {options}\nAnswer:"
    context = f"Context: {context}\n" if context else ""
    return instructed(f"{context}{question}\n{options}", kwargs)


def sqa_doc_to_target(doc: Doc) -> str:
    """Return the right option's letter."""
    return letter_of(doc["answer"])


def sqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: the letter alone, or a capital and a full stop at the start."""
    answer, gold = results[0].strip(), sqa_doc_to_target(doc)
    if answer.lower() == gold.lower():
        return {"exact_match": 1.0}
    return {"exact_match": float(answer[:2] == f"{gold}.")}
