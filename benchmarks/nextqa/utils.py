"""NExT-QA: why and how things happen in short videos, and in which order; five options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.choices import label_options, read_letter
from pytest_lmms.tasks.mediafiles import find_media, with_extensions

Doc = Mapping[str, Any]
COLUMNS = ("a0", "a1", "a2", "a3", "a4")


def nextqa_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video."""
    names = [f"NExTVideo/{name}" for name in with_extensions(str(doc["video"]), ["mp4", "MP4"])]
    return [find_media("nextqa", names, beside=__file__)]


def _options(doc: Doc) -> dict[str, str]:
    return label_options(doc[column].strip() for column in COLUMNS)


def nextqa_doc_to_text_mc(doc: Doc) -> str:
    """Return question and options; nothing says how to answer."""
    lines = [doc["question"].strip(), *(f"{letter}. {option}" for letter, option in _options(doc).items())]
    return "\n".join(lines)


def nextqa_process_results_mc(doc: Doc, results: Sequence[str]) -> dict[str, bool]:
    """Score one answer."""
    letter = read_letter(results[0], _options(doc))
    scores = {"exact_match": letter is not None and letter == "ABCDE"[int(doc["answer"])]}
    return scores if letter else Unparsed(scores)
