"""VPCT: into which bucket will the ball fall?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.tasks.mediafiles import find_media
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]
QUESTION = (
    "You are an expert physics simulator. Looking at this image of a ball-and-bucket simulation, predict which bucket"
    " (numbered 1, 2, or 3 from left to right) the ball will eventually fall into."
)
PATTERNS = (r"answer\s*\(\s*([1-3])\s*\)", r"bucket\s*([1-3])(?!\d)", r"(?<!\d)([1-3])(?!\d)")
"""Where a bucket's number may stand, best first."""


def _number(simulation: Any) -> int | None:
    try:
        return int(simulation)
    except (TypeError, ValueError):
        return None  # told when its picture is looked for


def vpct_rows(dataset: Any) -> Any:
    """Put the simulations in order of their numbers, those without a number last."""
    numbers = [_number(simulation) for simulation in dataset["simId"]]
    order = sorted(range(len(numbers)), key=lambda row: (numbers[row] is None, numbers[row] or 0))
    return dataset.add_column("sim_id", numbers).select(order)


def vpct_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the picture of the start."""
    return [find_media("vpct", f"sim_{int(doc['simId'])}_initial.png", beside=__file__)]


def vpct_doc_to_text(_doc: Doc, kwargs: Doc) -> str:
    """Return the question, the same for every picture."""
    return instructed(QUESTION, kwargs)


def vpct_doc_to_target(doc: Doc) -> str:
    """Return the number of the bucket."""
    return str(int(doc["finalBucket"]))


def vpct_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer."""
    hits = (re.search(pattern, results[0], re.IGNORECASE) for pattern in PATTERNS)
    bucket = next((int(found.group(1)) for found in hits if found), None)
    gold = int(doc["finalBucket"])
    item = {"sim_id": int(doc["simId"]), "prediction": results[0], "predicted_bucket": bucket, "target_bucket": gold}
    item["is_correct"] = bucket == gold
    scores = {
        "vpct_accuracy": Item(item, score=float(bucket == gold)),
        "vpct_answered_rate": Item(item, score=float(bucket is not None)),
    }
    return Unparsed(scores) if bucket is None else scores


def vpct_accuracy(items: Sequence[Doc]) -> float:
    """Return the share of right buckets, 0 to 1."""
    return fmean(item["is_correct"] for item in items)


def vpct_answered_rate(items: Sequence[Doc]) -> float:
    """Return the share of responses with a bucket, 0 to 1."""
    return fmean(item["predicted_bucket"] is not None for item in items)
