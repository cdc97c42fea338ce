"""Perception Test: multiple-choice questions about videos filmed for the purpose; three options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.submission import write_submission
from pytest_lmms.tasks.mediafiles import find_media, with_extensions

Doc = Mapping[str, Any]
LETTERS = "ABC"
INSTRUCTION = "Answer with the option's letter from the given choices directly."
UNREAD = -1
"""Number of the option in an answer that names none."""


def perceptiontest_doc_to_visual(doc: Doc, kwargs: Doc | None = None) -> list[str]:
    """Return the path of the row's video."""
    names = [f"videos/{name}" for name in with_extensions(doc["video_name"], ["mp4", "MP4"])]
    return [find_media((kwargs or {}).get("cache_dir", "perceptiontest_val"), names, beside=__file__)]


def perceptiontest_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, options and instruction; any option after the third is called C too."""
    letters = LETTERS.ljust(len(doc["options"]), LETTERS[-1])
    options = [f"{letter}. {option}" for letter, option in zip(letters, doc["options"], strict=False)]
    return "\n".join([doc["question"], *options, INSTRUCTION])


def perceptiontest_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer: the first capital from A to D on its own decides."""
    found = re.search(r"\b[ABCD]\b", results[0])
    number = "ABCD".index(found[0]) if found else UNREAD
    item = {key: doc[key] for key in ("video_name", "question", "answer_id")}
    item |= {"pred_id": number, "correct": int(found is not None and number == int(doc["answer_id"]))}
    item = Item(item, score=float(item["correct"]))
    return {"accuracy": item} if found else Unparsed({"accuracy": item})


def perceptiontest_aggregate_accuracy(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return fmean(item.get("correct", item["pred_id"] == int(item["answer_id"])) for item in items) if items else None


def perceptiontest_process_submission(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Read a lone letter; anything else is unread."""
    number = LETTERS.find(results[0]) if len(results[0]) == 1 else UNREAD
    item = {key: doc[key] for key in ("video_name", "question", "question_id")} | {"pred_id": number}
    return Unparsed({"submission": item}) if number == UNREAD else {"submission": item}


def perceptiontest_aggregate_submission(items: Sequence[Doc], args: Any = None) -> None:
    """Write the list of answers as ``<output_path>/submissions/inference_results_perceptiontest_MC.json``."""
    write_submission("inference_results_perceptiontest_MC.json", list(items), args)


def _smallest_loss(results: Sequence[tuple[float, bool]]) -> int:
    losses = [loss for loss, _ in results]
    return losses.index(min(losses))


def perceptiontest_process_losses(doc: Doc, results: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """Choose the option whose text has the smallest loss."""
    item = {key: doc[key] for key in ("video_name", "question", "question_id", "answer_id", "area", "reasoning", "tag")}
    item["pred_id"] = _smallest_loss(results)
    return {"accuracy": Item(item, score=float(item["pred_id"] == int(doc["answer_id"])))}


def perceptiontest_process_submitted_losses(doc: Doc, results: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """Choose the option whose text has the smallest loss; the answer is hidden."""
    item = {key: doc[key] for key in ("video_name", "question", "question_id")}
    return {"submission": item | {"pred_id": _smallest_loss(results)}}


def perceptiontest_aggregate_mcppl(items: Sequence[Doc], args: Any = None) -> None:
    """Write the list of answers as ``<output_path>/submissions/inference_results_perceptiontest_MC_PPL.json``."""
    write_submission("inference_results_perceptiontest_MC_PPL.json", list(items), args)
