"""Video-MME asked otherwise: options shuffled, numbered, or without the right one; no options; no question at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.choices import label_options, shuffle_options
from pytest_lmms.scoring.letters import option_number, whole_word_letter
from pytest_lmms.tasks.rowwise import each_row

from .utils import question_scores, videomme_doc_to_visual

Doc = Mapping[str, Any]
LETTERS = "ABCD"


def option_texts(doc: Doc) -> list[str]:
    """Return the options without their letters."""
    return [option.partition(". ")[2] or option for option in doc["options"]]


def _lettered(texts: Sequence[str]) -> list[str]:
    return [f"{letter}. {text}" for letter, text in label_options(texts).items()]


def _right(doc: Doc) -> int:
    return LETTERS.index(doc["answer"].upper())


def _shuffled(row: Doc) -> dict[str, Any]:
    texts, right = shuffle_options(option_texts(row), _right(row), row["question_id"])
    return {"options": _lettered(texts), "answer": LETTERS[right]}


def videomme_rows_shuffled(dataset: Any) -> Any:
    """Put each question's options into another order, drawn by the question's id."""
    return each_row(dataset, _shuffled)


def _without_right_text(row: Doc) -> dict[str, Any]:
    texts, right = option_texts(row), _right(row)
    return {"options": _lettered([*texts[:right], "None", *texts[right + 1 :]])}


def videomme_rows_with_none(dataset: Any) -> Any:
    """Write "None" in the place of the right option; its letter stays right."""
    return each_row(dataset, _without_right_text)


def _numbered(row: Doc) -> dict[str, Any]:
    options = [f"{number}. {text}" for number, text in enumerate(option_texts(row), start=1)]
    return {"options": options, "answer": str(1 + _right(row))}


def videomme_rows_numbered(dataset: Any) -> Any:
    """Number the options from 1 instead of lettering them."""
    return each_row(dataset, _numbered)


def videomme_doc_to_text_plain(doc: Doc, kwargs: Doc) -> str:
    """Return question, options and instruction, nothing before them."""
    lines = "\n".join([doc["question"], *doc["options"]])
    return f"{kwargs['pre_prompt']}{lines}{kwargs['post_prompt']}"


def videomme_process_results_number(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer: a number from 1 to 4 that begins it, else the first one that stands alone."""
    return question_scores(doc, option_number(results[0], len(LETTERS)))


def videomme_doc_to_system_prompt(doc: Doc, kwargs: Doc) -> list[dict[str, Any]]:
    """Return a system prompt that asks for a guess, and a turn with the video alone."""
    system = {"role": "system", "content": [{"type": "text", "text": kwargs["system_prompt"]}]}
    videos = [{"type": "video", "url": path} for path in videomme_doc_to_visual(doc)]
    return [system, {"role": "user", "content": [*videos, {"type": "text", "text": kwargs["user_text"]}]}]


def videomme_process_results_guess(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one guess: the first letter from A to D that stands alone, in any case, else the first one anywhere."""
    text = results[0].upper()
    letter = whole_word_letter(text, LETTERS) or next((c for c in text if c in LETTERS), None)
    scores = {"acc_score": float(letter == doc["answer"].upper()), "format_score": float(letter is not None)}
    return scores if letter else Unparsed(scores)
