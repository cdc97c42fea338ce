"""Neptune: multiple-choice questions about long videos, with hard decoys."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from PIL import Image

from pytest_lmms.media.video import open_video
from pytest_lmms.records import Item, MediaRef, Unparsed
from pytest_lmms.tasks.mediafiles import find_media, with_extensions

Doc = Mapping[str, Any]
LETTERS = "ABCDE"
MAX_WORDS_FOR_LONE_LETTER = 3
PATTERNS = (
    r"ANSWER\s*(?:IS|:)?\s*[\(\[]?\s*([A-E])",
    r"OPTION\s*([A-E])",
    r"\(([A-E])\)",
    r"\b([A-E])[\).]",
)
"""Where an answer may stand, best first; of the first that occurs the last occurrence decides."""


def neptune_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video."""
    given = str(doc["video_path"]).lstrip("./")
    name = os.path.basename(given)
    places = [given, *(f"{p}{name}" for p in ("", "downloads/")), f"data/{given}"]
    places += [f"data/downloads/{name}", f"videos/{name}"]
    names = [variant for place in places for variant in with_extensions(place, ["mp4", "MP4", "mkv", "MKV"])]
    return [find_media("neptune", names, beside=__file__)]


def neptune_doc_to_frames(doc: Doc, kwargs: Doc | None = None) -> list[Image.Image]:
    """Return up to `max_num_frames` frames of the row's video, evenly from the first to the last."""
    count = int((kwargs or {}).get("max_num_frames", 32))
    video = open_video(MediaRef(kind="video", path=neptune_doc_to_visual(doc)[0]), num_frames=count)
    return [Image.fromarray(frame) for frame in video.frames]


def _options(doc: Doc) -> dict[str, str]:
    choices = {letter: doc.get(f"answer_choice_{i}") for i, letter in enumerate(LETTERS)}
    return {letter: str(choice).strip() for letter, choice in choices.items() if choice is not None}


def neptune_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, options in use and instruction."""
    kwargs = kwargs or {}
    lines = [str(doc["question"]).strip(), *(f"{letter}. {option}" for letter, option in _options(doc).items())]
    return "".join([kwargs.get("pre_prompt", ""), "\n".join(lines), kwargs.get("post_prompt", "")])


def neptune_doc_to_target(doc: Doc) -> str:
    """Return the right letter, or an empty text where the row does not say."""
    number = doc["answer_id"]
    return LETTERS[number] if isinstance(number, int) and 0 <= number < len(LETTERS) else ""


def _words(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.lower()).split())


def read_option(text: str, options: Mapping[str, str]) -> str:
    """Return the letter that a text chooses, or an empty text; see the page of the benchmark."""
    upper = text.strip().upper()
    if lone := re.fullmatch(r"[\(\[]?\s*([A-E])\s*[\)\].:\-]?", upper):
        return lone[1]
    for pattern in PATTERNS:
        if found := re.findall(pattern, upper):
            return str(found[-1])
    if len(upper.split()) <= MAX_WORDS_FOR_LONE_LETTER and (alone := re.search(r"\b([A-E])\b", upper)):
        return alone[1]
    said = _words(text)
    mentioned = (letter for letter, option in options.items() if (words := _words(option)) and words in said)
    return next(mentioned, "")


def neptune_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer."""
    letter, gold = read_option(results[0], _options(doc)), neptune_doc_to_target(doc)
    item = {"key": doc.get("key", ""), "question_type": doc.get("question_type", "Unknown"), "gold": gold}
    item = Item(item | {"parsed_pred": letter, "is_correct": letter == gold}, score=float(letter == gold))
    scores = {"neptune_acc": item}
    return scores if letter else Unparsed(scores)


def _accuracy(items: Sequence[Doc]) -> float:
    return fmean(item["is_correct"] for item in items)


def neptune_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return _accuracy(items) if items else None


def neptune_type_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the accuracy by kind of question, to five decimals."""
    kinds = dict.fromkeys(item["question_type"] for item in items)
    return {str(k): round(_accuracy([i for i in items if i["question_type"] == k]), 5) for k in kinds}


neptune_aggregate_results.sub_scores = neptune_type_scores  # type: ignore[attr-defined]
