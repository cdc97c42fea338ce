"""AI2D: multiple-choice questions about diagrams of primary-school science."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.letters import leading_letter
from pytest_lmms.scoring.reasoned import THINK_PROMPT, reasoned_scores
from pytest_lmms.tasks.prompts import instructed, letter_of, one_turn, option_lines

Doc = Mapping[str, Any]


class LeadingLetter:
    """Keeps of ``B. text`` the letter, of any other response everything."""

    def __call__(self, responses: list[str], _document: Doc) -> list[str]:
        """Filter the responses of one document."""
        return [leading_letter(response) or response for response in responses]


def ai2d_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the diagram."""
    return [doc["image"].convert("RGB")]


def ai2d_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question and options: lettered lines, plain lines (``qa``) or one lettered line (``mcq_xcomposer``)."""
    question, options = doc["question"], doc["options"]
    if kwargs["prompt_format"] == "qa":
        return instructed(question + "\n".join(options), kwargs)
    if kwargs["prompt_format"] == "mcq_xcomposer":
        in_line = option_lines(options).replace("\n", " ")
        return instructed(f"{question}\nContext: N/A\n{in_line}", kwargs)
    return instructed(f"{question}\n{option_lines(options)}", kwargs)


def ai2d_doc_to_target(doc: Doc, target_format: str) -> str:
    """Return the right option's letter, or its text (``qa``)."""
    position = int(doc["answer"])
    return str(doc["options"][position]) if target_format == "qa" else letter_of(position)


def ai2d_reasoning_text(doc: Doc) -> str:
    """Return question and lettered options, without instruction."""
    return f"{doc['question']}\n{option_lines(doc['options'])}"


def ai2d_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for thoughts, and the question."""
    return one_turn(ai2d_doc_to_visual(doc), ai2d_reasoning_text(doc), system=THINK_PROMPT)


def ai2d_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, letter_of(int(doc["answer"])))
