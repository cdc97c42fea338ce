"""EgoTempo: open questions about what the wearer of a camera did, and when."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rapidfuzz.distance import Levenshtein

from pytest_lmms.tasks.mediafiles import find_media, with_extensions

Doc = Mapping[str, Any]
FOLDER_VARIABLE = "EGOTEMPO_VIDEO_DIR"
COLUMNS = ("video", "video_path", "media_path", "clip_path", "path", "file", "clip_id")
FOLDERS = ("", "video/", "videos/", "clips/")
EXTENSIONS = ("mp4", "MP4", "mkv", "webm", "mov")
INTRODUCTIONS = ("the answer is", "answer:", "the correct answer is", "the final answer is")
MIN_SIMILARITY = 0.5


def egotempo_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video."""
    row = dict(doc)
    named = str(next((row[c] for c in COLUMNS if row.get(c)), ""))
    if named.startswith(("http://", "https://")):
        return [named]
    places = dict.fromkeys((named, os.path.basename(named)))
    names = [f"{f}{v}" for f in FOLDERS for p in places for v in with_extensions(p, EXTENSIONS)]
    return [find_media(os.getenv(FOLDER_VARIABLE) or "egotempo", names if named else "", beside=__file__)]


def egotempo_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the question between `pre_prompt` and `post_prompt`."""
    kwargs = kwargs or {}
    return f"{kwargs.get('pre_prompt', '')}{str(doc['question']).strip()}{kwargs.get('post_prompt', '')}"


def egotempo_doc_to_target(doc: Doc) -> str:
    """Return the answer."""
    return str(doc["answer"]).strip()


def _without_introduction(text: str) -> str:
    text = text.strip()
    for introduction in INTRODUCTIONS:
        if text.lower().startswith(introduction):
            return text[len(introduction) :].strip(" :.-")
    return text


def similarity(answer: str, gold: str) -> float:
    """Return 1 - edit distance / length of the longer, 0 below 0.5; case and blanks do not count."""
    answer, gold = (" ".join(text.lower().split()) for text in (answer, gold))
    if not answer or not gold:
        return float(answer == gold)
    value = 1 - Levenshtein.distance(answer, gold) / max(len(answer), len(gold))
    return value if value >= MIN_SIMILARITY else 0.0


def egotempo_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer, 0 to 1."""
    value = similarity(_without_introduction(results[0]), egotempo_doc_to_target(doc))
    return {"egotempo_anls": {"score": value, "question_type": str(doc.get("question_type", "unknown"))}}


def egotempo_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the mean, 0 to 1."""
    return fmean(item["score"] for item in items) if items else None


def egotempo_type_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the mean by kind of question, as a percentage."""
    kinds = dict.fromkeys(item["question_type"] for item in items)
    return {str(k): 100 * fmean(i["score"] for i in items if i["question_type"] == k) for k in kinds}


egotempo_aggregate_results.sub_scores = egotempo_type_scores  # type: ignore[attr-defined]
