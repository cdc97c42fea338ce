"""MLVU: multiple-choice questions about long videos, of seven (dev) or nine (test) kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.tasks.mediafiles import find_media

Doc = Mapping[str, Any]
LETTERS = frozenset("ABCDEFGH")


def mlvu_doc_to_visual(doc: Doc, kwargs: Doc | None = None) -> list[str]:
    """Return the path of the row's video."""
    return [find_media((kwargs or {}).get("cache_dir", "mlvu"), str(doc["video_name"]), beside=__file__)]


def mlvu_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the question, which brings its options, and the request."""
    return f"{doc['question']}{(kwargs or {}).get('post_prompt', '')}"


def mlvu_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer: what stands before its first closing bracket, else all of it, must be the letter."""
    text = results[0].strip()
    before, bracket, _ = text.partition(")")
    letter = before[-1:] if bracket else text
    item = {"question_id": doc["question"], "task_type": doc["task_type"], "pred_answer": letter}
    item = Item(item | {"answer": doc["answer"]}, score=float(letter == doc["answer"]))
    scores = {"mlvu_percetion_score": item}
    return scores if letter in LETTERS else Unparsed(scores)


def mlvu_type_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the percentage of right answers by kind of question."""
    rights: dict[str, list[bool]] = {}
    for item in items:
        rights.setdefault(item["task_type"], []).append(item["pred_answer"] == item["answer"])
    return {kind: 100 * fmean(own) for kind, own in rights.items()}


def mlvu_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the mean over kinds of question, 0 to 100."""
    kinds = mlvu_type_scores(items)
    return fmean(kinds.values()) if kinds else None


mlvu_aggregate_results.sub_scores = mlvu_type_scores  # type: ignore[attr-defined]
