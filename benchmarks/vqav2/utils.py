"""VQAv2: questions about photographs of COCO, against the answers of ten people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pytest_lmms.scoring.submission import write_dated_submission
from pytest_lmms.scoring.vqa import normalise_words, vqa_accuracy
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]

vqav2_aggregate_submissions = partial(write_dated_submission, "vqav2-test-submission")


def vqav2_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def vqav2_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question between its instructions."""
    return instructed(doc["question"], kwargs)


def vqav2_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer against those of ten people."""
    people = [said["answer"] for said in doc.get("answers") or []]
    return {"exact_match": vqa_accuracy(results[0], people, normalise_words)}


def vqav2_process_results_test(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Keep one answer for the server: as it was given, where nobody's answers are known."""
    said = results[0] if doc.get("answers") is None else normalise_words(results[0])
    return {"submission": {"question_id": doc["question_id"], "answer": said}}
