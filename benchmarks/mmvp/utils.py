"""MMVP: pairs of pictures that CLIP takes for alike, with one question and opposite answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.subscores import grouped
from pytest_lmms.tasks.prompts import instructed, option_lines

Doc = Mapping[str, Any]
PATTERNS = (
    r"^\(?([AB])\)?\.?$",
    r"^\(?([AB])\)?[.\s]",
    r"answer\s+is\s+\(?([AB])\)?",
    r"option\s+\(?([AB])\)?",
    r"\(?([AB])\)?(?:\s|$)",
    r"^([AB])",
)
"""How a letter may stand in a response, in any case, best first."""
CORRECTED = {98: "B", 99: "A", 278: "B", 279: "A"}
"""Rows, from 0, whose gold answers are swapped in the dataset, and what is right."""
PAIR = 2


def mmvp_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the picture."""
    return [doc["image"].convert("RGB")]


def mmvp_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question, the two options as lettered lines, and instruction."""
    options = re.findall(r"\([a-z]\)\s*([^(]+?)(?=\s*\([a-z]\)|$)", doc["Options"], re.IGNORECASE)
    return instructed(f"{doc['Question']}\n{option_lines(option.strip() for option in options)}", kwargs)


def mmvp_doc_to_target(doc: Doc) -> str:
    """Return the right letter, corrected where the dataset is wrong."""
    answer = str(doc["Correct Answer"]).strip().lower()
    named = next((letter for letter in "AB" if f"({letter.lower()})" in answer), answer.upper())
    return CORRECTED.get(int(doc["Index"]) - 1, named)


def read_a_or_b(text: str) -> str | None:
    """Read A or B by `PATTERNS`."""
    found = (re.search(pattern, text.strip(), re.IGNORECASE) for pattern in PATTERNS)
    return next((match.group(1).upper() for match in found if match), None)


def mmvp_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer, and name the pair that it belongs to."""
    number, letter, gold = int(doc["Index"]), read_a_or_b(results[0]), mmvp_doc_to_target(doc)
    index = number - (number > 0)
    item = {"index": index, "pair_index": index // PAIR, "pred": results[0], "pred_letter": letter or "", "gt": gold}
    item["is_correct"] = letter == gold
    item = Item(item, score=float(letter == gold))
    scores = {"mmvp_accuracy": item, "mmvp_pair_accuracy": item}
    return scores if letter else Unparsed(scores)


def mmvp_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the share of right letters, 0 to 1."""
    return fmean(item["is_correct"] for item in items)


def mmvp_aggregate_pair_results(items: Sequence[Doc]) -> float | None:
    """Return the share of pairs with both answers right, 0 to 1; None without a complete pair."""
    pairs = [pair for pair in grouped(items, "pair_index").values() if len(pair) == PAIR]
    return fmean(all(item["is_correct"] for item in pair) for pair in pairs) if pairs else None
