"""BLINK: visual tasks that people solve at a glance, as multiple-choice questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.letters import initial_letter
from pytest_lmms.scoring.subscores import over, with_sub_scores
from pytest_lmms.tasks.prompts import letter_of

Doc = Mapping[str, Any]
MAX_IMAGES = 4


def _letters(doc: Doc) -> str:
    return "".join(letter_of(position) for position in range(len(doc["choices"])))


def blink_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the images, one to four."""
    images = (doc[f"image_{number}"] for number in range(1, MAX_IMAGES + 1))
    return [image.convert("RGB") for image in images if image is not None]


def blink_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the instruction, which names the letters, and the row's own prompt."""
    return str(kwargs["pre_prompt"]).format(", ".join(_letters(doc))) + str(doc["prompt"])


def blink_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Read the letter that the response begins with."""
    letter, gold = initial_letter(results[0]), doc["answer"].strip("()")
    item = {"id": doc["idx"], "gt_content": gold, "pred_parsed": letter, "pred": results[0]}
    item |= {"sub_task": doc["sub_task"], "is_correct": letter == gold}
    item = Item(item, score=float(letter == gold))
    return {"blink_acc": item} if letter and letter in _letters(doc) else Unparsed(blink_acc=item)


def _share(items: Sequence[Doc]) -> float:
    return sum(bool(item["is_correct"]) for item in items) / len(items)


@with_sub_scores(over("sub_task", aggregation=_share))
def blink_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the share of right letters, 0 to 1."""
    return _share(items)
