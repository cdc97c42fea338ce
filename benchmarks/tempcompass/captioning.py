"""TempCompass's descriptions of videos: a judge answers a question with options from the description alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed

from .utils import item_of

Doc = Mapping[str, Any]


def _words(text: str) -> str:
    """Lower-case words, each between blanks."""
    words = re.findall(r"[^\W_]+", text.lower())
    return f" {' '.join(words)} "


def tempcompass_process_results_captioning(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one description by rules: of the options, it holds the text of the right one only."""
    options = [line.partition(". ")[::2] for line in str(doc["mc_question"]).split("\n")[1:]]
    held = [letter for letter, text in options if _words(text).strip() and _words(text) in _words(results[0])]
    scores = {"rule_accuracy": item_of(doc, is_right=held == [doc["mc_answer"].partition(". ")[0]])}
    return scores if len(held) == 1 else Unparsed(scores)


def tempcompass_captioning_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Score one description by the letter that a judge chose with it, "none" for no option."""
    return {"avg_accuracy": item_of(doc, is_right=reply == doc["mc_answer"].partition(". ")[0])}


tempcompass_captioning_judged.rubric = "rubric_captioning.yaml"  # type: ignore[attr-defined]
tempcompass_process_results_captioning.judged = tempcompass_captioning_judged  # type: ignore[attr-defined]
