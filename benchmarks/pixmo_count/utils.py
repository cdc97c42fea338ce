"""PixMo-Count: how many things of a kind are in a photograph."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, reasoned_scores
from pytest_lmms.tasks.prompts import instructed, one_turn

Doc = Mapping[str, Any]


def pixmo_count_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def pixmo_count_reasoning_text(doc: Doc) -> str:
    """Return the question without its placeholder for the image."""
    return str(doc["question"]).replace("<image>", "").strip()


def pixmo_count_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question and instruction."""
    return instructed(pixmo_count_reasoning_text(doc), kwargs)


def _first_digits(text: str) -> str:
    found = re.search(r"\d+", text)
    return found.group() if found else text.strip()


def pixmo_count_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer by its first run of digits; "03" is not "3"."""
    score = float(_first_digits(results[0]) == _first_digits(str(doc["answer"])))
    return {"acc": score, "exact_match": score}


def pixmo_count_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(pixmo_count_doc_to_visual(doc), pixmo_count_reasoning_text(doc), system=ANALYSIS_PROMPT)


def pixmo_count_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, _first_digits(str(doc["answer"])))
