"""ARC-AGI-2: harder puzzles of coloured grids; every grid is an image of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.spans import balanced, contents

Doc = Mapping[str, Any]
Grid = list[list[int]]
TEMPLATE = """\
You are solving an ARC visual reasoning task. Each task contains demo input/output grid pairs where the output is generated from the input by a hidden rule.

Image references:
{references}

Based on the pattern in the demo pairs, predict the output grid for the final test input image.
The test input is also provided in text grid form for clarity:
{grid}

Return the final predicted grid as a JSON array of arrays, for example [[1,2],[3,4]].
Return only the JSON array with no additional text."""  # noqa: E501
MAX_CHARACTERS = 100_000
"""No candidate longer than this is parsed."""


def _pairs(doc: Doc) -> list[tuple[Any, Any]]:
    columns = (doc.get(f"train_{side}_image_color") or [] for side in ("input", "output"))
    return list(zip(*columns, strict=False))


def arc_agi_2_doc_to_visual(doc: Doc) -> list[Any]:
    """Return input and output of each demonstration, then the test input."""
    images = [image for pair in _pairs(doc) for image in pair] + (doc["test_input_image_color"] or [])[:1]
    return [image.convert("RGB") for image in images if image is not None]


def arc_agi_2_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return instructions, with what each image is and the test input as text."""
    kwargs = kwargs or {}
    count = len(_pairs(doc))
    names = [f"Image {2 * k - 1} is demo input {k}. Image {2 * k} is demo output {k}." for k in range(1, count + 1)]
    references = " ".join([*names, f"Image {2 * count + 1} is the final test input."])
    body = TEMPLATE.format(references=references, grid=(doc["test_input_texts"] or [""])[0])
    parts = [kwargs.get("pre_prompt", ""), body, kwargs.get("post_prompt", "")]
    return "\n\n".join(part for part in parts if part)


def arc_agi_2_doc_to_target(doc: Doc) -> str:
    """Return the first target as the row has it."""
    return str((doc["test_targets"] or ["[]"])[0])


def as_grid(value: Any) -> Grid | None:
    """Return a list of lists with whole numbers as integers; None when anything else is in it."""
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        return None
    grid = [[_as_int(cell) for cell in row] for row in value]
    return None if any(cell is None for row in grid for cell in row) else grid  # type: ignore[return-value]


def _as_int(cell: Any) -> int | None:
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int):
        return cell
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return int(cell) if isinstance(cell, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,9}\s*", cell) else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if len(text) <= MAX_CHARACTERS else None
    except (ValueError, RecursionError):
        return None


def read_grid(text: str) -> Grid | None:
    """Return the first grid: the whole text, a fenced block, ``[[...]]``, or any list; None without any."""
    text = text.strip()
    whole = _parsed(text)
    if isinstance(whole, dict) and isinstance(whole.get("text"), str):
        return read_grid(whole["text"])
    spans = [text, *contents(text, r"```(?:json)?", "```")]
    spans += [*(f"[[{rows}]]" for rows in contents(text, r"\[\[", r"\]\]")), *balanced(text, "[", "]")]
    return next((grid for span in spans if (grid := as_grid(_parsed(span))) is not None), None)


def arc_agi_2_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: 1.0 when every cell is right."""
    gold = (doc["test_outputs"] or [None])[0]
    right = as_grid(gold) or (read_grid(gold) if isinstance(gold, str) else as_grid(gold))
    grid = read_grid(results[0])
    scores = {"arc_agi_2_acc": float(grid is not None and grid == right)}
    return Unparsed(scores) if grid is None else scores
