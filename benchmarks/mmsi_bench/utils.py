"""MMSI-Bench: where things are and move, across several images of a place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.spans import contents
from pytest_lmms.scoring.subscores import mean_score
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]
EN_DASH = "\N{EN DASH}"
QUOTES = (r"``([^`]*)``", r"`([^`]*)`")
"""What may stand around the answer, beside braces; each that occurs narrows the text."""


def msr_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the images in order."""
    return [image if isinstance(image, bytes) else image.convert("RGB") for image in doc["images"]]


def msr_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question, options included, with its instruction."""
    return instructed(doc["question"].strip(), kwargs)


def read_quoted_letter(text: str) -> str | None:
    """Read the first letter A to F, in any case, that stands alone and that no other word follows."""
    for quotes in QUOTES:
        if found := re.search(quotes, text):
            text = found.group(1)
    text = next(iter(contents(text, r"\{", r"\}")), text)
    letter = re.search(r"\b[A-Fa-f]\b(?!\s[a-zA-Z])", text)
    return letter.group().upper() if letter else None


def msr_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer under its question's type and under `average`."""
    answer = read_quoted_letter(results[0])
    kind = re.sub(r"(?<=[a-z]\.)-(?=[A-Z])", EN_DASH, doc["question_type"])
    score = float(answer is not None and answer == doc["answer"].upper().strip())
    item: dict[str, Any] = {"question_id": doc["id"], "l2_category": kind, "score": score}
    if answer is None:
        item["note"] = "cannot find answer"
        return Unparsed({kind: item, "average": item})
    return {kind: item, "average": item}


def msr_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return mean_score(items)
