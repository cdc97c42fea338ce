"""ChartQA: questions about charts, answered with a word or a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.numbers import relaxed_match
from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, reasoned_scores
from pytest_lmms.tasks.prompts import instructed, one_turn

Doc = Mapping[str, Any]


def chartqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the chart."""
    return [doc["image"].convert("RGB")]


def chartqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"], kwargs)


def _splits(doc: Doc) -> tuple[str, str]:
    """Return what a question counts for: everything, and the part it belongs to."""
    part = "human" if doc["type"] == "human_test" else "augmented"
    return "relaxed_overall", f"relaxed_{part}_split"


def chartqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer with 5 % tolerance for numbers."""
    return dict.fromkeys(_splits(doc), float(relaxed_match(results[0], doc["answer"])))


def chartqa_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(chartqa_doc_to_visual(doc), doc["question"], system=ANALYSIS_PROMPT)


def chartqa_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form; numbers have no tolerance here."""
    return reasoned_scores(results, doc["answer"], [f"{split}_" for split in _splits(doc)])
