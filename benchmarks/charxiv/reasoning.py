"""CharXiv asked with reasoning: the same questions, thoughts and answer in tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.reasoned import THINK_PROMPT, reasoned_scores
from pytest_lmms.tasks.prompts import one_turn

from .utils import charxiv_descriptive_target, charxiv_descriptive_text, charxiv_doc_to_visual, charxiv_reasoning_text

Doc = Mapping[str, Any]


def charxiv_reasoning_cot_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for thoughts, the chart and the reasoning question."""
    return one_turn(charxiv_doc_to_visual(doc), charxiv_reasoning_text(doc), system=THINK_PROMPT)


def charxiv_descriptive_cot_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for thoughts, the chart and the row's descriptive question."""
    return one_turn(charxiv_doc_to_visual(doc), charxiv_descriptive_text(doc), system=THINK_PROMPT)


def charxiv_reasoning_cot_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, str(doc["reasoning_a"]))


def charxiv_descriptive_cot_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the description at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, charxiv_descriptive_target(doc))
