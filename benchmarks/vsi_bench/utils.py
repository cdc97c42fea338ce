"""VSI-Bench: sizes, distances, directions and routes in videos of rooms; options or numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Unparsed
from pytest_lmms.tasks.mediafiles import find_media

Doc = Mapping[str, Any]
DIRECTION = "object_rel_direction"
CHOICES = frozenset(
    {f"{DIRECTION}_{level}" for level in ("easy", "medium", "hard")}
    | {"object_rel_distance", "route_planning", "obj_appearance_order"}
)
NUMBERS = frozenset({"object_abs_distance", "object_counting", "object_size_estimation", "room_size_estimation"})
TOLERANCES = 1 - np.linspace(0.5, 0.95, 10)
"""Relative errors that still count, from 0.5 down to 0.05: a tenth each; on an edge as numpy rounds it."""
OPENING = "These are frames of a video."
CHOICE_REQUEST = "Answer with the option's letter from the given choices directly."
NUMBER_REQUEST = "Please answer the question using a single word or phrase."


def vsi_bench_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video."""
    return [find_media("vsibench", f"{doc['dataset']}/{doc['scene_name']}.mp4", beside=__file__)]


def vsi_bench_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return opening, question, options if there are any, and request."""
    kwargs = kwargs or {}
    opening = kwargs.get("pre_prompt") or OPENING
    if doc["question_type"] in NUMBERS:
        return f"{opening}\n{doc['question']}\n{kwargs.get('na_post_prompt') or NUMBER_REQUEST}"
    if doc["question_type"] not in CHOICES:
        raise DocumentError(f"{doc['id']}: unknown question_type {doc['question_type']!r}")
    return "\n".join(
        [opening, doc["question"], "Options:", *doc["options"], kwargs.get("mca_post_prompt") or CHOICE_REQUEST]
    )


def relative_accuracy(answer: float, gold: float) -> float:
    """Return the share of `TOLERANCES` that hold the relative error of an answer."""
    if not gold:
        return float(answer == gold)
    return float((abs(answer - gold) / gold <= TOLERANCES).mean())


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def vsi_bench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score the first word of an answer: the right letter, or how near a number is."""
    word = results[0].split(" ")[0].rstrip(".").strip()
    if doc["question_type"] in CHOICES:
        is_read = len(word) == 1 and word.isalpha()
        value = float(word.lower() == str(doc["ground_truth"]).lower())
    else:
        answer, gold = _number(word), _number(str(doc["ground_truth"]))
        is_read = answer is not None
        value = 0.0 if answer is None or gold is None else relative_accuracy(answer, gold)
    scores = {"vsibench_overall": {"question_type": doc["question_type"], "score": value}}
    return scores if is_read else Unparsed(scores)


def vsi_bench_type_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the mean of each kind of question; the three levels of directions make one, each with equal weight."""
    values: dict[str, list[float]] = {}
    for item in items:
        values.setdefault(item["question_type"], []).append(item["score"])
    means = {kind: fmean(own) for kind, own in values.items()}
    directions = [means.pop(kind) for kind in sorted(means) if kind.startswith(DIRECTION)]
    return means | ({DIRECTION: fmean(directions)} if directions else {})


def vsi_bench_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the mean over kinds of question, 0 to 1."""
    return fmean(vsi_bench_type_scores(items).values()) if items else None


vsi_bench_aggregate_results.sub_scores = vsi_bench_type_scores  # type: ignore[attr-defined]
