"""ARC-AGI-1: find the rule behind pairs of coloured grids, shown as images, and apply it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.spans import contents

Doc = Mapping[str, Any]
Grid = list[list[int]]
TEMPLATE = """\
You are given demonstration input-output pairs as images. Based on the pattern, predict the output grid for the test input.
The first image contains all demonstration input/output pairs.
The second image contains the test input grid.

Text representation of the test input grid:
{}

Output only the predicted output grid as a JSON array of arrays of integers.
Example: [[1,2],[3,4]]"""  # noqa: E501
MAX_CHARACTERS = 100_000
"""No candidate longer than this is parsed."""


def _first(value: Any, nothing: Any = None) -> Any:
    """The first of a list, or the value itself; `nothing` where that is missing."""
    first = (value[0] if value else None) if isinstance(value, (list, tuple)) else value
    return nothing if first is None else first


def arc_agi_1_doc_to_visual(doc: Doc) -> list[Any]:
    """Return two images: all demonstrations, and the test input."""
    images = [_first(doc["stacked_train_image"]), _first(doc["test_images"])]
    if any(image is None for image in images):
        raise DocumentError(f"{doc['id']}: an image of the demonstrations or of the test input is missing")
    return [image.convert("RGB") for image in images]


def arc_agi_1_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return instructions, with the test input as text."""
    kwargs = kwargs or {}
    body = TEMPLATE.format(_first(doc["test_inputs"], ""))
    return f"{kwargs.get('pre_prompt', '')}{body}{kwargs.get('post_prompt', '')}"


def arc_agi_1_doc_to_target(doc: Doc) -> str:
    """Return the first solution as JSON."""
    return json.dumps(_first(doc["raw_solution"], []))


def is_grid(value: Any) -> bool:
    """Tell whether a value is a list of lists of integers, none of them a bool."""
    return isinstance(value, list) and all(isinstance(r, list) and all(type(n) is int for n in r) for r in value)


def _candidates(text: str) -> Iterator[str]:
    yield text.strip()
    yield from contents(text, r"```(?:json)?", "```")
    yield from (f"[[{rows}]]" for rows in contents(text, r"\[\s*\[", r"\]\s*\]"))


def read_grid(text: str) -> Grid | None:
    """Return the first grid: the whole text, a fenced block, or ``[[...]]`` anywhere; None without any."""
    for candidate in _candidates(text):
        try:
            value = json.loads(candidate) if len(candidate) <= MAX_CHARACTERS else None
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list) and is_grid(value):
            return value
    return None


def arc_agi_1_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: 1.0 when every cell is right."""
    grid, gold = read_grid(results[0]), _first(doc["raw_solution"], [])
    scores = {"arc_agi_1_acc": float(grid is not None and is_grid(gold) and grid == gold)}
    return Unparsed(scores) if grid is None else scores
