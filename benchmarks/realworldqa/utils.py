"""RealWorldQA: questions about photographs of streets and rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.letters import letter_by_text
from pytest_lmms.scoring.reasoned import THINK_PROMPT, reasoned_scores
from pytest_lmms.scoring.vqa import NUMBER_WORDS
from pytest_lmms.tasks.prompts import instructed, one_turn

Doc = Mapping[str, Any]
INSTRUCTION = "Please answer directly with only the letter of the correct option and nothing else."


class OptionText:
    """Turns a number word into digits, and a response that holds the text of an option into that option's letter."""

    def __call__(self, responses: list[str], document: Doc) -> list[str]:
        """Filter the responses of one document."""
        counts = {word: digits for word, digits in NUMBER_WORDS.items() if word != "none"}
        return [letter_by_text(counts.get(text.lower(), text), document["question"]) for text in responses]


def realworldqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def realworldqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question; a `post_prompt` replaces the dataset's own instruction."""
    question = doc["question"].strip()
    return instructed(question.replace(INSTRUCTION, "") if kwargs.get("post_prompt") else question, kwargs)


def realworldqa_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for thoughts, and the question."""
    return one_turn(realworldqa_doc_to_visual(doc), doc["question"], system=THINK_PROMPT)


def realworldqa_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form; the gold is in lower case."""
    return reasoned_scores(results, doc["answer"].lower().strip())
