"""VizWiz-VQA: what blind people asked about photographs that they took, against the answers of ten people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pytest_lmms.scoring.submission import write_dated_submission
from pytest_lmms.scoring.vqa import normalise_answer, vqa_accuracy
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]

vizwiz_vqa_aggregate_submissions = partial(write_dated_submission, "vizwiz_vqa-test-submission")


def vizwiz_vqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def vizwiz_vqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question, in lower case but for its first letter, between its instructions."""
    return instructed(doc["question"].capitalize(), kwargs)


def vizwiz_vqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer, where there are people's answers, and keep it for the server."""
    kept = {"image": f"{doc['question_id']}.jpg", "answer": normalise_answer(results[0])}
    return {"exact_match": vqa_accuracy(results[0], doc.get("answers") or ()), "submission": kept}
