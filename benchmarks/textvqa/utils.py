"""TextVQA: questions about text in photographs, against the answers of ten people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pytest_lmms.scoring.submission import write_dated_submission
from pytest_lmms.scoring.vqa import normalise_answer, vqa_accuracy
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]

textvqa_aggregate_submissions = partial(write_dated_submission, "textvqa_submission")


def textvqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def textvqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question, in lower case but for its first letter, if wanted with the words that OCR found."""
    words = f"\nReference OCR token: {', '.join(doc['ocr_tokens'])}" if kwargs.get("ocr") else ""
    return instructed(doc["question"].capitalize() + words, kwargs)


def textvqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer against those of ten people, and keep it for the server."""
    answer = {"question_id": doc["question_id"], "answer": normalise_answer(results[0])}
    return {"exact_match": vqa_accuracy(results[0], doc.get("answers") or []), "submission": answer}
