"""Video-MMMU asked otherwise: without the lecture, with its question's picture alone, or with other options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item
from pytest_lmms.scoring.choices import label_options, shuffle_options
from pytest_lmms.scoring.letters import option_number
from pytest_lmms.tasks.mediafiles import find_media
from pytest_lmms.tasks.rowwise import each_row

from .utils import (
    question_item,
    video_mmmu_doc_to_text,
    video_mmmu_doc_to_text_adaptation,
    video_mmmu_process_results,
)

Doc = Mapping[str, Any]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def video_mmmu_doc_to_nothing(doc: Doc) -> list[str]:
    """Return no video: the question is asked alone."""
    return []


def video_mmmu_doc_to_picture(doc: Doc) -> list[str]:
    """Return the path of the clip that shows the question's picture and nothing of the lecture."""
    return [find_media("video_mmmu", f"question_only/{doc['id']}_image.mp4", beside=__file__)]


def video_mmmu_doc_to_text_plain(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question and options, and a line break where an open question has none."""
    return video_mmmu_doc_to_text(doc) if doc["options"] else f"{doc['question']}\n"


def option_texts(doc: Doc) -> list[str]:
    """Return the options without letters before them."""
    options = label_options(doc["options"])
    has_letters = all(option.startswith(f"{letter}.") for letter, option in options.items())
    return [option[2:].strip() if has_letters else option for option in options.values()]


def _right(doc: Doc) -> int | None:
    """The right option's position, None for an open question or an answer beyond the options."""
    letter = str(doc["answer"]).strip().upper()
    position = LETTERS.index(letter) if len(letter) == 1 and letter in LETTERS else len(LETTERS)
    return position if position < len(doc["options"] or ()) else None


def _shuffled(row: Doc) -> dict[str, Any]:
    if (right := _right(row)) is None:
        return {}
    texts, right = shuffle_options(option_texts(row), right, row["id"])
    return {"options": texts, "answer": LETTERS[right]}


def video_mmmu_rows_shuffled(dataset: Any) -> Any:
    """Put each question's options into another order, drawn by the question's id."""
    return each_row(dataset, _shuffled)


def _without_right_text(row: Doc) -> dict[str, Any]:
    if (right := _right(row)) is None:
        return {}
    texts = option_texts(row)
    return {"options": [*texts[:right], "None", *texts[right + 1 :]]}


def video_mmmu_rows_with_none(dataset: Any) -> Any:
    """Write "None" in the place of the right option; its letter stays right."""
    return each_row(dataset, _without_right_text)


def _numbered(row: Doc) -> dict[str, Any]:
    right = _right(row)
    return {} if right is None else {"options": option_texts(row), "answer": str(1 + right)}


def video_mmmu_rows_numbered(dataset: Any) -> Any:
    """Make the right option's number, from 1, the answer."""
    return each_row(dataset, _numbered)


def video_mmmu_doc_to_text_numbered(doc: Doc, kwargs: Doc) -> str:
    """Return question and numbered options between the task's requests; an open question as it is in adaptation."""
    if not doc["options"]:
        return video_mmmu_doc_to_text_adaptation(doc, kwargs)
    options = [f"{number}. {text}" for number, text in enumerate(doc["options"], start=1)]
    question = "\n".join([doc["question"], *options])
    return f"{kwargs.get('pre_prompt', '')}{kwargs.get('mcq_prompt', '')}{question}{kwargs.get('post_prompt', '')}"


def video_mmmu_process_results_number(doc: Doc, results: Sequence[str]) -> dict[str, Item]:
    """Read the number of an option; open answers as in adaptation."""
    if not doc["options"]:
        return video_mmmu_process_results(doc, results)
    return question_item(doc, results[0], option_number(results[0], len(doc["options"])))
