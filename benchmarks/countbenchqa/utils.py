"""CountBenchQA: how many things are in a photograph, with its caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, reasoned_scores
from pytest_lmms.tasks.prompts import instructed, one_turn

Doc = Mapping[str, Any]


def countbenchqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def countbenchqa_reasoning_text(doc: Doc) -> str:
    """Return caption, if any, and question."""
    caption = f"{doc['text']}\n\n" if doc["text"] else ""
    return f"{caption}{doc['question']}"


def countbenchqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return caption, question and instruction."""
    return instructed(countbenchqa_reasoning_text(doc), kwargs)


def countbenchqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: the digits of the number and nothing else."""
    score = float(results[0].strip() == str(doc["number"]))
    return {"acc": score, "exact_match": score}


def countbenchqa_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(countbenchqa_doc_to_visual(doc), countbenchqa_reasoning_text(doc), system=ANALYSIS_PROMPT)


def countbenchqa_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, doc["number"])
