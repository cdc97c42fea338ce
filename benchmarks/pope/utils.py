"""POPE: is an object in the picture? Yes or no, to measure invented objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.tasks.prompts import instructed

Item = Mapping[str, Any]
"""What one document adds: ``question_id``, ``score``, ``prediction``, ``ground_truth``."""
METRICS = ("pope_accuracy", "pope_precision", "pope_recall", "pope_f1_score", "pope_yes_ratio")


def pope_doc_to_visual(doc: Item) -> list[Any]:
    """Return the picture."""
    return [doc["image"].convert("RGB")]


def pope_doc_to_text(doc: Item, kwargs: Item) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"].strip(), kwargs)


def pope_process_results(doc: Item, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer, which must be "yes" or "no", case aside, and nothing else."""
    answer, gold = results[0].lower().strip(), doc["answer"].lower().strip()
    item = {
        "question_id": doc["question_id"],
        "score": float(answer == gold),
        "prediction": answer,
        "ground_truth": gold,
    }
    scores = dict.fromkeys(METRICS, item)
    return scores if answer in ("yes", "no") else Unparsed(scores)


def _count(items: Sequence[Item], gold: str, answer: str) -> int:
    return sum(i["ground_truth"] == gold and i["prediction"] == answer for i in items)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def pope_aggregate_accuracy(items: Sequence[Item]) -> float:
    """Return the share of right answers, 0 to 1."""
    return _ratio(sum(i["score"] for i in items), len(items))


def pope_aggregate_precision(items: Sequence[Item]) -> float:
    """Return how many of the answers "yes" are right, 0 to 1."""
    hits = _count(items, "yes", "yes")
    return _ratio(hits, hits + _count(items, "no", "yes"))


def pope_aggregate_recall(items: Sequence[Item]) -> float:
    """Return how many of the questions whose answer is "yes", and that got a yes or a no, got a yes; 0 to 1."""
    hits = _count(items, "yes", "yes")
    return _ratio(hits, hits + _count(items, "yes", "no"))


def pope_aggregate_f1_score(items: Sequence[Item]) -> float:
    """Return the harmonic mean of precision and recall, 0 to 1."""
    precision, recall = pope_aggregate_precision(items), pope_aggregate_recall(items)
    return _ratio(2 * precision * recall, precision + recall)


def pope_aggregate_yes_ratio(items: Sequence[Item]) -> float:
    """Return the share of questions whose right answer is "yes"."""
    return _ratio(sum(i["ground_truth"] == "yes" for i in items), len(items))
