"""MINERVA: multiple-choice questions that take several steps of reasoning about a video."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import MediaRef, Unparsed
from pytest_lmms.tasks.videosource import find_video

Doc = Mapping[str, Any]
LETTERS = "ABCDE"
INTRODUCTIONS = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "Answer:",
    "Option:",
    "Therefore, the final answer is:",
)


def minerva_doc_to_visual(doc: Doc) -> list[MediaRef]:
    """Return the row's video: of a folder, of a Lance dataset, or its address on YouTube."""
    video = str(doc.get("video_id") or "").strip()
    if not video:
        return []
    address = f"https://www.youtube.com/watch?v={video}"
    return [find_video(video, prefix="MINERVA", cache_dir="minerva", address=address, beside=__file__)]


def _choices(doc: Doc) -> list[str]:
    return [str(doc.get(f"answer_choice_{i}", "")).strip() for i in range(len(LETTERS))]


def minerva_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, five options and instruction."""
    kwargs = kwargs or {}
    options = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, _choices(doc), strict=True)]
    body = "\n".join([str(doc["question"]).strip(), *options])
    return f"{kwargs.get('pre_prompt', '')}{body}{kwargs.get('post_prompt', '')}"


def minerva_doc_to_target(doc: Doc) -> str:
    """Return the letter of the number `answer_id`, else of the choice that `answer` repeats, else an empty text."""
    number = doc.get("answer_id")
    number = int(number) if isinstance(number, str) and number.isdecimal() else number
    if isinstance(number, int) and 0 <= number < len(LETTERS):
        return LETTERS[number]
    choices, answer = _choices(doc), str(doc.get("answer", "")).strip()
    return LETTERS[choices.index(answer)] if answer in choices else ""


def read_option(text: str) -> str | None:
    """Return the letter after the last "answer is" or "option:", else the last capital from A to E, else None."""
    text = text.strip()
    announced = re.findall(r"(?:answer|option)\s*(?:is|:)\s*([A-E])", text, re.IGNORECASE)
    if announced:
        return str(announced[-1]).upper()
    for introduction in INTRODUCTIONS:
        text = text.replace(introduction, "")
    capitals = re.findall(f"[{LETTERS}]", text)
    return str(capitals[-1]) if capitals else None


def minerva_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer."""
    letter, gold = read_option(results[0]), minerva_doc_to_target(doc)
    kind = doc.get("question type") if doc.get("question_type") is None else doc["question_type"]
    item = {
        "id": doc["key"],
        "question_type": "UNKNOWN" if kind is None else kind,
        "split": doc.get("split", "UNKNOWN"),
        "category": doc.get("category", "UNKNOWN"),
        "pred_answer": letter or "",
        "answer": gold,
        "score": float(bool(letter) and letter == gold),
    }
    return {"minerva_acc": item} if letter else Unparsed({"minerva_acc": item})


def _percentage(items: Sequence[Doc]) -> float:
    return 100 * fmean(item["score"] for item in items)


def minerva_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the percentage of right answers, 0 to 100."""
    return _percentage(items) if items else None


def minerva_group_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the percentage by kind of question, split and category, such as ``category/Math``."""
    groups: dict[str, list[Doc]] = {}
    for grouping in ("question_type", "split", "category"):
        for item in items:
            groups.setdefault(f"{grouping}/{item[grouping] or 'UNKNOWN'}", []).append(item)
    return {group: _percentage(own) for group, own in groups.items()}


minerva_aggregate_results.sub_scores = minerva_group_scores  # type: ignore[attr-defined]
