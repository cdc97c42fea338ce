"""LLaVA-Bench (In-the-Wild): open questions about images, rated beside a reference answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.captions import rouge_l, tokenize
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]
UNRATED = (-1.0, -1.0)
"""Scores of a reply that holds no two numbers."""


def llava_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image."""
    return [doc["image"].convert("RGB")]


def llava_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"], kwargs)


def llava_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Compare words with the reference answer."""
    return {"rouge_l_to_reference": rouge_l([(tokenize(results[0]), [tokenize(doc["gpt_answer"])])])}


def llava_judged(doc: Doc, _results: Sequence[str], reply: str) -> dict[str, Any]:
    """Read a judge's two numbers, reference first, from the first line of its reply."""
    numbers = re.findall(r"-?\d+(?:\.\d+)?", reply.strip().split("\n", maxsplit=1)[0])
    scores = (float(numbers[0]), float(numbers[1])) if len(numbers) > 1 else UNRATED
    item = {"question": doc["question"], "category": doc["category"], "scores": scores}
    return {"gpt_eval_llava_all": item, f"gpt_eval_llava_{doc['category']}": item}


llava_process_results.judged = llava_judged  # type: ignore[attr-defined]


def llava_relative_score(items: Sequence[Doc]) -> float | None:
    """Return the model's mean score in percent of the reference's; None when the reference has none."""
    reference, model = (round(fmean(item["scores"][i] for item in items), 3) for i in (0, 1))
    return round(100 * model / reference, 1) if reference else None
