"""SimpleVQA: short factual questions about images, in Chinese and English."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.vqa import normalise_answer
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]


def simplevqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image; some copies of the dataset hold it as base64 text."""
    image = doc["image"]
    return [base64.b64decode(image) if isinstance(image, str) else image.convert("RGB")]


def simplevqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"].strip(), kwargs)


def simplevqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: equal to the gold one, both in the VQA challenge's form."""
    return {"exact_match": float(normalise_answer(results[0]) == normalise_answer(doc["answer"]))}
