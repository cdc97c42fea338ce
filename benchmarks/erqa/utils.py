"""ERQA: multiple-choice questions about what a robot sees: places, actions, trajectories, states."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.subscores import over, with_sub_scores

Doc = Mapping[str, Any]
FIRST_LETTER = re.compile(r"[\(\s]*([A-Z])", re.IGNORECASE)


def erqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the images in order."""
    return [image.convert("RGB") for image in doc["images"] if image is not None]


def erqa_doc_to_text(doc: Doc) -> str:
    """Return the question, which holds its options and how to answer."""
    return str(doc["question"])


def erqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer: its first letter, behind brackets and blanks at most."""
    found = FIRST_LETTER.match(results[0].strip())
    letter = found.group(1).upper() if found else ""
    item = {"id": doc["question_id"], "gt_content": doc["answer"], "pred": results[0], "sub_task": doc["question_type"]}
    is_correct = letter == doc["answer"]
    scores = {"erqa_acc": Item(item | {"is_correct": is_correct}, score=float(is_correct))}
    return scores if found else Unparsed(scores)


def _share(items: Sequence[Doc]) -> float:
    return sum(bool(item["is_correct"]) for item in items) / len(items) if items else 0.0


@with_sub_scores(over("sub_task", aggregation=_share))
def erqa_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the share of right answers, 0 to 1."""
    return _share(items)
