"""SEED-Bench-2-Plus: charts, maps and web pages, asked with reasoning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, reasoned_scores
from pytest_lmms.tasks.prompts import one_turn, option_lines

Doc = Mapping[str, Any]
INSTRUCTION = "Answer with the option's letter from the given choices directly."


def seed2plus_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the chart, map or page."""
    return [doc["image"].convert("RGB")]


def seed2plus_reasoning_text(doc: Doc) -> str:
    """Return question, lettered choices and instruction; a choice that names an image file becomes ``<image>``."""
    choices = [doc[f"choice_{letter}"] for letter in "ABCD"]
    shown = ["<image>" if "jpg" in choice or "png" in choice else choice for choice in choices]
    return f"{doc['question']}\n{option_lines(shown)}\n{INSTRUCTION}"


def seed2plus_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(seed2plus_doc_to_visual(doc), seed2plus_reasoning_text(doc), system=ANALYSIS_PROMPT)


def seed2plus_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form; for the kind of image, and for all."""
    kind = doc["question_image_type"].capitalize()
    return reasoned_scores(results, doc["answer"], [f"seedbench_2_plus_{kind}_", "seedbench_2_plus_all_"])
