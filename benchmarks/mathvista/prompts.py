"""MathVista's prompts: question, choices and hint, in four variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_lmms.scoring.reasoned import THINK_PROMPT
from pytest_lmms.tasks.prompts import letter_of, one_turn, option_lines

Doc = Mapping[str, Any]
KINDS = {
    "integer": ("an integer answer", "value, e.g., 1, 2, 3", "a single integer number"),
    "float1": (
        "a floating-point number with one decimal place",
        "value, e.g., 1.2, 1.3, 1.4",
        "a single floating-point number with one decimal place",
    ),
    "float2": (
        "a floating-point number with two decimal places",
        "value, e.g., 1.23, 1.34, 1.45",
        "a single floating-point number with two decimal places",
    ),
    "list": ("a Python list as an answer", "list, e.g., [1, 2, 3], [1.2, 1.3, 1.4]", "a Python list"),
}
"""Kind of answer -> what the question requires, what to provide, what to answer with."""


def mathvista_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the figure."""
    return [doc["decoded_image"].convert("RGB")]


def _hint(doc: Doc, shot_type: str) -> str:
    """Return what the answer should look like, in the words of the variant."""
    if doc["question_type"] == "multi_choice":
        return {
            "format-prompt": "Answer with the option's letter from the given choices directly.",
            "reason-first": "First perform reasoning, then finally select the question from the choices in the"
            " following format: Answer: xxx.",
        }.get(
            shot_type,
            "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.",
        )
    kind = doc["answer_type"] + (f"{doc['precision']:.0f}" if doc["answer_type"] == "float" else "")
    if kind not in KINDS:
        return ""
    required, provided, direct = KINDS[kind]
    if shot_type == "format-prompt":
        return f"Answer the question using {direct}."
    what = f"question requiring {required} and provide the final {provided}, at the end"
    if shot_type == "reason-first":
        return f"First perform reasoning, then finally answer the {what} in the following format: Answer: xxx."
    return f"Hint: Please answer the {what}."


def mathvista_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question, choices and hint in the order of the variant (`shot_type`)."""
    shot_type, choices = kwargs["shot_type"], doc["choices"] or []
    is_direct = shot_type == "format-prompt"
    unit = f" (Unit: {doc['unit']})" if doc["unit"] else ""
    question = f"{'' if is_direct else 'Question: '}{doc['question']}{unit}"
    listed = "\n".join(["Choices:", *(f"({letter_of(i)}) {choice}" for i, choice in enumerate(choices))])
    shown = option_lines(choices) if is_direct else listed
    hint, tail = _hint(doc, shot_type), "Solution: " if shot_type == "solution" else ""
    options = shown if choices else ""
    parts = [hint, question, options] if shot_type == "reason-first" else [question, options, hint]
    return "\n".join(part for part in [*parts, tail] if part).strip()


def mathvista_reasoning_messages(doc: Doc, kwargs: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for thoughts, and the question."""
    return one_turn(mathvista_doc_to_visual(doc), mathvista_doc_to_text(doc, kwargs), system=THINK_PROMPT)
