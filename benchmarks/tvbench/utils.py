"""TVBench: questions about short videos that cannot be answered from one frame, or from the text alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.choices import label_options
from pytest_lmms.tasks.mediafiles import find_media

Doc = Mapping[str, Any]
SUB_TASKS = (
    "action_antonym",
    "action_count",
    "action_localization",
    "action_sequence",
    "egocentric_sequence",
    "moving_direction",
    "object_count",
    "object_shuffle",
    "scene_transition",
    "unexpected_action",
)
FOLDERS = ("", "video/", "videos/", "data/", *(f"{p}{s}/" for s in SUB_TASKS for p in ("", "video/", "videos/")))
MIN_LETTERS = 2


def _first(doc: Doc, *columns: str) -> Any:
    return next((doc[c] for c in columns if doc.get(c) not in (None, "")), None)


def _candidates(doc: Doc) -> list[str]:
    listed = _first(doc, "candidates", "options")
    if isinstance(listed, (list, tuple)):
        return [str(option) for option in listed]
    return [str(doc[f"option{i}"]) for i in range(26) if doc.get(f"option{i}") is not None]


def tvbench_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video, if it names one."""
    video = _first(doc, "video", "video_path", "video_file")
    video = video[0] if isinstance(video, (list, tuple)) and video else video
    video = _first(video, "path", "video", "filename") if isinstance(video, Mapping) else video
    return [find_media("tvbench", [f"{folder}{video}" for folder in FOLDERS], beside=__file__)] if video else []


def tvbench_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, options and instruction."""
    kwargs = kwargs or {}
    question = str(_first(doc, "question", "prompt", "query") or "").strip()
    options = [f"{letter}. {option}" for letter, option in label_options(_candidates(doc)).items()]
    body = "\n".join([question, *options, kwargs.get("post_prompt", "").strip()]).strip()
    return f"{kwargs.get('pre_prompt', '')}{body}"


def _simple(text: Any) -> str:
    return " ".join(str(text).lower().split())


def tvbench_doc_to_target(doc: Doc) -> str:
    """Return the right letter; the row gives it as text, letter or number."""
    answer = _first(doc, "answer", "correct_answer", "label", "correct_choice")
    options = label_options(_candidates(doc))
    text = str(answer if answer is not None else "").strip()
    if text.isdecimal() and int(text) <= len(options):
        return list(options)[min(int(text), len(options) - 1)]
    if len(text) == 1 and text.isalpha():
        return text.upper()
    return next((x for x, option in options.items() if _simple(option) == _simple(text)), text.upper())


def read_option(text: str, options: Sequence[str]) -> str:
    """Return the letter that a text chooses, or an empty text.

    The first letter on its own decides if it names an option, be it an "I"; else the text's first letter; else the
    one option whose text is in it.
    """
    letters = label_options([*options, *[""] * (MIN_LETTERS - len(options))])
    upper = text.strip().upper()
    alone = re.search(r"\b([A-Z])\b", upper)
    if alone and alone[1] in letters:
        return alone[1]
    beginning = re.match(r"[\(\[]?\s*([A-Z])", upper)
    if beginning and beginning[1] in letters:
        return beginning[1]
    mentioned = [
        x for x, option in label_options(options).items() if _simple(option) and _simple(option) in _simple(text)
    ]
    return mentioned[0] if len(mentioned) == 1 else ""


def tvbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer, 0.0 or 1.0."""
    letter = read_option(results[0], _candidates(doc)) if results[0].strip() else ""
    scores = {"tvbench_acc": float(bool(letter) and letter == tvbench_doc_to_target(doc))}
    return scores if letter else Unparsed(scores)
