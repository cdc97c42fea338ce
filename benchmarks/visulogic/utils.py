"""VisuLogic: puzzles of shapes, to be solved without words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.tasks.mediafiles import find_media
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]
MAX_LENGTH_OF_LONE_LETTER = 3
PATTERNS = (
    r"<answer>\s*\(?\s*([A-D])\s*\)?\s*</answer>",
    r"\\boxed\{\s*([A-D])\s*\}",
    r"answer\s*(?:is|:|-)\s*\(?\s*([A-D])\b",
    r"option\s*([A-D])\b",
    r"\(\s*([A-D])\s*\)",
)
"""Where an answer may stand, best first; of the first that occurs the last occurrence decides."""


def visulogic_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the puzzle's picture; nothing for a row without one."""
    path = str(doc["image_path"]).lstrip("./")
    return [find_media("visulogic", path, beside=__file__)] if path else []


def visulogic_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question, options included, with its instruction."""
    return instructed(doc["question"].strip(), kwargs)


def visulogic_doc_to_target(doc: Doc) -> str:
    """Return the right letter."""
    return str(doc["label"]).strip().upper()[:1]


def read_puzzle_letter(text: str) -> str | None:
    """Read a letter A to D by `PATTERNS`, in any case, or at the start of a text of up to three characters."""
    for pattern in PATTERNS:
        if found := re.findall(pattern, text, re.IGNORECASE):
            return str(found[-1]).upper()
    text = text.strip().upper()
    return text[0] if len(text) <= MAX_LENGTH_OF_LONE_LETTER and text[:1] in tuple("ABCD") else None


def visulogic_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer."""
    letter = read_puzzle_letter(results[0])
    right = float((letter or "") == visulogic_doc_to_target(doc))
    return {"visulogic_acc": right} if letter else Unparsed(visulogic_acc=right)
