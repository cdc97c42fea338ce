"""ZeroBench: a hundred questions that no model answered when they were made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pytest_lmms.scoring.subscores import mean_score
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]


def zerobench_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the images in order."""
    return [image.convert("RGB") for image in doc["question_images_decoded"] if image is not None]


def zerobench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question_text"].strip(), kwargs)


def _simple(text: object) -> str:
    quoteless = str(text).strip().lower().strip("\"'`")
    return re.sub(r"\s*\.$", "", " ".join(quoteless.split()))


def _number(text: str) -> Decimal | None:
    plain = text.replace(",", "")
    return Decimal(plain) if re.fullmatch(r"[-+]?[0-9]+(?:\.[0-9]+)?", plain) else None


def zerobench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one answer: the same number, or the same text but for case, quotes, spaces and a final full stop."""
    answer, gold = _simple(results[0]), _simple(doc["question_answer"])
    number, gold_number = _number(answer), _number(gold)
    is_right = answer == gold if number is None or gold_number is None else number == gold_number
    item = {"question_id": doc["question_id"], "prediction": results[0].strip(), "target": doc["question_answer"]}
    return {"zerobench_exact_match": {**item, "score": float(is_right)}}


def zerobench_aggregate(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return mean_score(items)
