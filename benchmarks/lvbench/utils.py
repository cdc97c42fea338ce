"""LVBench: multiple-choice questions about videos of an hour and more."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.choices import shuffle_options
from pytest_lmms.scoring.letters import first_capital
from pytest_lmms.tasks.mediafiles import find_media
from pytest_lmms.tasks.rowwise import each_row

Doc = Mapping[str, Any]
LETTERS = "ABCD"


def lvbench_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video."""
    return [find_media("lvbench", str(doc["video_path"]), beside=__file__)]


def lvbench_doc_to_nothing(doc: Doc) -> list[str]:
    """Return no video: the question is asked alone."""
    return []


def _shuffled(row: Doc) -> dict[str, Any]:
    """Shuffle the lines ``(A) text`` that end a question; a question without them stays as it is."""
    question, *options = re.split(r"\n\([A-D]\) ?", row["question"])
    if not options:
        return dict(row)
    options, right = shuffle_options(options, LETTERS.index(row["answer"]), f"{row['key']}/{row['uid']}")
    lines = [f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return {"question": "\n".join([question, *lines]), "answer": LETTERS[right]}


def lvbench_rows_shuffled(dataset: Any) -> Any:
    """Put each question's options into another order, drawn by the row's video and number."""
    return each_row(dataset, _shuffled)


def lvbench_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the question, which brings its options, between the prompts."""
    kwargs = kwargs or {}
    parts = (kwargs.get("pre_prompt", ""), doc["question"], kwargs.get("post_prompt", ""))
    return "".join(str(part) for part in parts)


def lvbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer by its first capital from A to D, wherever it stands."""
    letter = first_capital(results[0], LETTERS)
    scores = {"lvbench_score": float(letter is not None and letter == doc["answer"])}
    return scores if letter else Unparsed(scores)
