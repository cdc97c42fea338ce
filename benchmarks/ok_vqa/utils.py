"""OK-VQA: questions about photographs that need knowledge from elsewhere, against the answers of ten people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pytest_lmms.scoring.submission import write_dated_submission
from pytest_lmms.scoring.vqa import normalise_answer, vqa_accuracy
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]

ok_vqa_aggregate_submissions = partial(write_dated_submission, "ok_vqa-test-submission")


def ok_vqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def ok_vqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question between its instructions."""
    return instructed(doc["question"], kwargs)


def ok_vqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer against those of ten people, and keep it for a file."""
    answer = {"image": f"{doc['question_id']}.jpg", "answer": normalise_answer(results[0])}
    return {"exact_match": vqa_accuracy(results[0], doc.get("answers") or []), "submission": answer}
