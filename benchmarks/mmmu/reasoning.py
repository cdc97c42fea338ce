"""MMMU asked with reasoning: the same questions, thoughts and answer in tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.reasoned import THINK_PROMPT, reasoned_scores

from .utils import mmmu_doc_to_messages, mmmu_doc_to_text

Doc = Mapping[str, Any]


def mmmu_reasoning_text(doc: Doc) -> str:
    """Return question and options, without instruction."""
    return mmmu_doc_to_text(doc, {})


def mmmu_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for thoughts, and the question with images at their placeholders."""
    system = {"role": "system", "content": [{"type": "text", "text": THINK_PROMPT}]}
    return [system, *mmmu_doc_to_messages(doc, {})]


def mmmu_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, doc["answer"])
