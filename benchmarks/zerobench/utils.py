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
    return [image.convert("RGB") for image in doc.get("question_images_decoded") or [] if image is not None]


def zerobench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question_text"].strip(), kwargs)


def _simple(text: object) -> str:
    quoteless = re.sub(r"\s+", " ", str(text).strip().lower().strip("\"'`"))
    return quoteless[:-1].rstrip() if quoteless.endswith(".") else quoteless


def _number(text: str) -> Decimal | None:
    plain = text.strip().replace(",", "")
    return Decimal(plain) if re.fullmatch(r"-?(?:\d+(?:\.\d+)?|\.\d+)", plain) else None


def zerobench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one answer: the same number, or the same text but for case, quotes, spaces and a final full stop."""
    answer, gold = _simple(results[0]), _simple(doc["question_answer"])
    number, gold_number = _number(answer), _number(gold)
    is_right = answer == gold if number is None or gold_number is None else number == gold_number
    target = str(doc["question_answer"]).strip()
    item = {"question_id": doc.get("question_id", ""), "prediction": results[0].strip(), "target": target}
    return {"zerobench_exact_match": {**item, "score": float(is_right)}}


def zerobench_aggregate(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return mean_score(items)
