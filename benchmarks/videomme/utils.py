"""Video-MME: multiple-choice questions about short, medium and long videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.letters import first_capital
from pytest_lmms.tasks.mediafiles import find_media, with_extensions

Doc = Mapping[str, Any]
Item = Mapping[str, Any]
"""What a document adds: where its question belongs, what was read, ``score`` (0.0 or 1.0) and ``videoID``."""

INSTRUCTION = (
    "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)
ANNOUNCEMENTS = ("The best answer is", "The correct answer is", "The answer is", "The answer")
GROUPINGS = ("duration", "category", "sub_category", "task_category")


def videomme_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video."""
    names = [f"data/{name}" for name in with_extensions(str(doc["videoID"]), ["mp4", "MP4", "mkv"])]
    return [find_media("videomme", names, beside=__file__)]


def videomme_doc_to_nothing(doc: Doc) -> list[str]:
    """Return no video: the question is asked alone."""
    return []


def videomme_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question and options, between instructions or, as `question_and_options`, with headings."""
    kwargs = kwargs or {}
    options = "\n".join(map(str, doc["options"]))
    post_prompt = kwargs.get("post_prompt", "The best answer is:")
    if kwargs.get("format") == "question_and_options":
        return f"{kwargs.get('pre_prompt', '')}{doc['question']}\nOptions:\n{options}\n{post_prompt}"
    return f"{INSTRUCTION}\n{doc['question']}\n{options}\n{post_prompt}"


def videomme_process_docs_long(dataset: Any) -> Any:
    """Keep the questions about long videos."""
    return dataset.filter(lambda row: row["duration"] == "long")


def videomme_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer: the first capital from A to D decides."""
    return question_scores(doc, first_capital(results[0], "ABCD", announcements=ANNOUNCEMENTS))


def question_scores(doc: Doc, read: str | None) -> dict[str, Any]:
    """Score what was read from one answer, None when nothing was, and say where the question belongs."""
    gold = doc["answer"]
    item = {
        "question_id": doc["question_id"],
        "duration": doc["duration"],
        "category": doc["domain"],
        "sub_category": doc["sub_category"],
        "task_category": doc["task_type"],
        "pred_answer": read or "",
        "answer": gold,
        "score": float((read or "").lower() == gold.lower()),
        "videoID": doc["videoID"],
    }
    scores = {"videomme_perception_score": item}
    return scores if read else Unparsed(scores)


def _percentage(items: Sequence[Item]) -> float:
    return 100 * fmean(item["pred_answer"] == item["answer"] for item in items)


def videomme_aggregate_results(items: Sequence[Item]) -> float | None:
    """Return the percentage of right answers, 0 to 100."""
    return _percentage(items) if items else None


def videomme_group_scores(items: Sequence[Item]) -> dict[str, float]:
    """Return the percentage of each duration, category, sub-category and kind of task, such as ``duration/short``."""
    groups: dict[str, list[Item]] = {}
    for grouping in GROUPINGS:
        for item in items:
            groups.setdefault(f"{grouping}/{item[grouping]}", []).append(item)
    return {group: round(_percentage(own), 1) for group, own in groups.items()}


videomme_aggregate_results.sub_scores = videomme_group_scores  # type: ignore[attr-defined]
