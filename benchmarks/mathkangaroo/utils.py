"""Math Kangaroo: competition questions for pupils, with a picture and five options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]
ANNOUNCED = re.compile(r"(?:final answer|answer|option)\s*(?:(?:is|:)\s*)?\(?([A-E])", re.IGNORECASE)
LONE_LINE = re.compile(r"\(?([A-E])\)?[.)]?")


def mathkangaroo_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the picture, if there is one."""
    return [] if doc.get("image") is None else [doc["image"].convert("RGB")]


def mathkangaroo_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question, options included, with its instruction."""
    return instructed(doc["question"].strip(), kwargs)


def read_option(text: str) -> str | None:
    """Read a letter A to E: the first that is announced, alone on the last such line, or the last lone word."""
    if found := ANNOUNCED.search(text):
        return found.group(1).upper()
    for line in reversed(text.splitlines()):
        if lone := LONE_LINE.fullmatch(line.strip().upper()):
            return lone.group(1)
    words = re.findall(r"\b([A-E])\b", text.upper())
    return words[-1] if words else None


def mathkangaroo_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: its letter is among those of the gold."""
    letter = read_option(results[0])
    golds = set(re.findall("[A-E]", str(doc["ground_truth"]).upper()))
    return {"mathkangaroo_accuracy": float(letter in golds)} if letter else Unparsed(mathkangaroo_accuracy=0.0)
