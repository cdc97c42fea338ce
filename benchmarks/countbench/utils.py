"""CountBench: how many things are in a photograph, answered with a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]
WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen twenty"
)
NUMBERS = {"none": "0", **{word: str(number) for number, word in enumerate(WORDS.split())}}


def countbench_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def countbench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"].strip(), kwargs)


def _digits(value: object) -> str:
    text = str(value).strip().lower()
    return NUMBERS.get(text, text)


def countbench_doc_to_target(doc: Doc) -> str:
    """Return the number as digits."""
    return _digits(doc["number"])


def countbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: the number and nothing else, as digits or as a word up to twenty."""
    return {"acc": float(_digits(results[0]) == _digits(doc["number"]))}
