"""MuirBench: twelve tasks over several images, among them questions that cannot be answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.letters import leading_letter
from pytest_lmms.scoring.subscores import over, with_sub_scores
from pytest_lmms.tasks.prompts import instructed, letter_of, option_lines

Doc = Mapping[str, Any]


def muirbench_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the images, in the order of their placeholders."""
    return [image.convert("RGB") for image in doc["image_list"]]


def muirbench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question and options between instructions; placeholders `<image>` stay."""
    return instructed(f"{doc['question']}\n{option_lines(doc['options'])}", kwargs)


def muirbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Item]:
    """Read one answer: the capital before a full stop that begins it, else all of it."""
    read = leading_letter(results[0]) or results[0]
    item = {key: doc[key] for key in ("task", "idx", "image_relation", "answer", "image_type")} | {"pred": read}
    scores = {"muirbench_score_overall": Item(item, score=float(_is_right(item)))}
    letters = [letter_of(position) for position in range(len(doc["options"]))]
    return scores if read.strip().upper() in letters else Unparsed(scores)


def _is_right(item: Doc) -> bool:
    return bool(item["pred"].strip().lower() == item["answer"].strip().lower())


def _accuracy(items: Sequence[Doc]) -> float:
    return fmean(map(_is_right, items))


@with_sub_scores(over("task", aggregation=_accuracy))
def muirbench_accuracy(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return _accuracy(items) if items else None
