"""MMStar: 1,500 multiple-choice questions that cannot be answered without the image."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, reasoned_scores
from pytest_lmms.scoring.subscores import mean_score, over, with_sub_scores
from pytest_lmms.tasks.prompts import instructed, one_turn

Doc = Mapping[str, Any]
DATASET_SUFFIX = " Please answer yes or no."
ENGLISH = ("option ", "the answer is ")
KOREAN = ("옵션 ", "정답은 ")


def mmstar_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image."""
    return [doc["image"].convert("RGB")]


def mmstar_oc_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image, which the row holds as base64 text."""
    return [base64.b64decode(doc["image"])]


def mmstar_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question, options included, with its instruction."""
    question = doc["question"].strip()
    has_instruction = kwargs.get("pre_prompt") or kwargs.get("post_prompt")
    return instructed(question.replace(DATASET_SUFFIX, "") if has_instruction else question, kwargs)


def mmstar_oc_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question, lettered options from the columns A, B and so on, and instruction."""
    question = doc["question"].replace("<image 1>", "")
    letters = sorted(column for column in doc if re.fullmatch("[A-Z]", column))
    options = "\n".join(f"{letter}. {doc[letter]}" for letter in letters)
    return instructed(f"{question}\nOptions:\n{options}\n", kwargs).rstrip()


def _score(doc: Doc, answer: str, announcements: Sequence[str]) -> dict[str, Doc]:
    """Compare the first character, or the one after a bracket or an announcement, with the gold letter."""
    answer, gold = (side.lower().strip().replace("\n", " ") for side in (answer, doc["answer"]))
    starts = ["", *(start for start in ("(", *announcements) if answer.startswith(start))]
    is_right = any(answer[len(start) : len(start) + 1] == gold for start in starts)
    item = {"question_id": doc["index"], "l2_category": doc["l2_category"], "score": float(is_right)}
    return {doc["category"]: item, "average": item}


def mmstar_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one answer under its category and under `average`."""
    return _score(doc, results[0], ENGLISH)


def mmstar_ko_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one answer, which Korean words may announce."""
    return _score(doc, results[0], KOREAN)


@with_sub_scores(over("l2_category"))
def mmstar_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the mean over finer categories of the mean in each, 0 to 1."""
    return fmean(over("l2_category", aggregation=mean_score)(items).values())


def mmstar_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(mmstar_doc_to_visual(doc), doc["question"], system=ANALYSIS_PROMPT)


def mmstar_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, doc["answer"])
