"""MME-CC: puzzles on space, geometry and knowledge in one or several images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.subscores import over, with_sub_scores
from pytest_lmms.tasks.mediafiles import find_media
from pytest_lmms.tasks.prompts import instructed, one_turn

Doc = Mapping[str, Any]
BEFORE_ANSWER, AFTER_ANSWER = "## The correct answer is:", "## Scoring criteria:"


def mme_cc_doc_to_visual(doc: Doc) -> list[str]:
    """Return the paths of the images in order."""
    return [find_media("mme_cc", path, beside=__file__) for path in doc["image_list"]]


def mme_cc_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the task with its instruction."""
    return instructed(doc["prompt"].strip(), kwargs).strip()


def mme_cc_doc_to_messages(doc: Doc, kwargs: Doc) -> list[dict[str, Any]]:
    """Return one user turn, images before the text."""
    return one_turn(mme_cc_doc_to_visual(doc), mme_cc_doc_to_text(doc, kwargs))


def mme_cc_doc_to_target(doc: Doc) -> str:
    """Return the right answer, without the words around it that some rows have."""
    answer = str((doc["ground_truth"] or {}).get("answer") or "")
    if BEFORE_ANSWER in answer:
        answer = answer.split(BEFORE_ANSWER, 1)[1]
    return answer.split(AFTER_ANSWER, 1)[0].strip()


def subtask_of(doc: Doc) -> str:
    """Return the folder of the first image, or what the row says, or ``unknown``."""
    folder, found, _ = ((doc["image_list"] or [""])[0] or "").partition("/")
    extra = doc.get("extra") or {}
    named = next((extra[k] for k in ("Subtask", "subtask") if extra.get(k)), "unknown")
    return folder if found else str(named).replace(" ", "_")


def _simple(text: str) -> str:
    text = re.sub(r"```(?:json)?", "", text.strip().rpartition("</think>")[2])
    return " ".join(text.split()).casefold()


def mme_cc_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one answer: the same text but for case, spaces and code fences."""
    is_right = _simple(results[0]) == _simple(mme_cc_doc_to_target(doc))
    exact = {"score": float(is_right), "total": 1.0, "subtask": subtask_of(doc)}
    return {
        "mme_cc_exact_match": exact,
        "mme_cc_answered_rate": {"score": float(bool(results[0].strip())), "total": 1.0},
    }


def mme_cc_mean(items: Sequence[Doc]) -> float:
    """Return the mean score, 0 to 1."""
    return fmean(item["score"] for item in items)


@with_sub_scores(over("subtask", aggregation=mme_cc_mean))
def mme_cc_exact_match(items: Sequence[Doc]) -> float:
    """Return the share of right answers, 0 to 1."""
    return mme_cc_mean(items)
