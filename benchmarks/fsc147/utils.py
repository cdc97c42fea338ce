"""FSC-147: how many things of a kind are in a photograph, from seven to thousands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]
IMAGES = ("image", "img", "query_image")
COUNTS = ("annotated_pos_count", "pos_count", "count", "answer", "label", "gt_count", "gt_num")
NAMES = ("pos_caption", "caption", "question", "query", "prompt", "text")


def fsc147_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    found = next((doc[c] for c in IMAGES if c in doc and hasattr(doc[c], "convert")), None)
    return [] if found is None else [found.convert("RGB")]


def fsc147_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question how many things of the row's kind there are."""
    name = next((doc[c] for c in NAMES if c in doc and isinstance(doc[c], str) and doc[c].strip()), "objects")
    name = re.sub(r"^[Tt]he ", "", name.strip()).rstrip(". ")
    return instructed(f"How many {name} are there in the image?", kwargs)


def read_count(value: Any) -> int | None:
    """Return a number, or the first one in a text without commas, rounded to the nearest integer, halves to even."""
    if value is None or isinstance(value, bool):
        return None
    if not isinstance(value, (int, float)):
        found = re.search(r"[-+]?\d+(?:\.\d+)?", str(value).strip().replace(",", ""))
        value = float(found.group()) if found else float("nan")
    return round(value) if abs(value) < float("inf") else None


def _gold(doc: Doc) -> int | None:
    return next((count for c in COUNTS if c in doc and (count := read_count(doc[c])) is not None), None)


def fsc147_doc_to_target(doc: Doc) -> str:
    """Return the number of things; empty when no column has one."""
    gold = _gold(doc)
    return "" if gold is None else str(gold)


def fsc147_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: exactly right, and how far off."""
    gold, count = _gold(doc), read_count(results[0])
    if gold is None:
        return {"fsc147_exact_match": 0.0, "fsc147_mae": 0.0}
    if count is None:
        return Unparsed(fsc147_exact_match=0.0, fsc147_mae=float(abs(gold)))
    return {"fsc147_exact_match": float(count == gold), "fsc147_mae": float(abs(count - gold))}
