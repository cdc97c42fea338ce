"""What a recording holds, as values: stand-ins for media brought to life, values compared, several rounds replayed."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.rounds import AGENTIC, final_output

Doc = Mapping[str, Any]


def revive(value: Any) -> Any:
    """Replace the stand-ins for media and numbers in a recorded value."""
    if isinstance(value, list):
        return [revive(v) for v in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["$image"]:
        width, height, seed = value["$image"]
        return Image.new("RGB", (width, height), (seed % 256, 64, 128))
    if list(value) == ["$audio"]:
        seconds, rate, seed = value["$audio"]
        noise = np.random.default_rng(seed).uniform(-0.1, 0.1, round(seconds * rate))
        return {"array": noise.astype(np.float32), "sampling_rate": rate}
    if list(value) == ["$float"]:
        return float(value["$float"])
    return {k: revive(v) for k, v in value.items()}


def same(theirs: Any, ours: Any, *, partly: bool = False) -> bool:
    """Tell whether two values are equal: numbers to nine digits, tuples as lists, numpy as Python, keys as texts.

    Args:
        theirs: Recorded value, revived.
        ours: Our value.
        partly: Whether our mappings may hold more keys than theirs.
    """
    ours = ours.tolist() if isinstance(ours, (np.ndarray, np.generic)) else ours
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        ours = {str(key): value for key, value in ours.items()}
        has_keys = theirs.keys() <= ours.keys() if partly else theirs.keys() == ours.keys()
        return has_keys and all(same(v, ours[k], partly=partly) for k, v in theirs.items())
    if isinstance(theirs, (list, tuple)) and isinstance(ours, (list, tuple)):
        pairs = zip(theirs, ours, strict=False)
        return len(theirs) == len(ours) and all(same(t, o, partly=partly) for t, o in pairs)
    if isinstance(theirs, (int, float)) and isinstance(ours, (int, float)):
        if math.isnan(theirs) or math.isnan(ours):
            return math.isnan(theirs) and math.isnan(ours)
        return math.isclose(theirs, ours, rel_tol=1e-9, abs_tol=1e-12)
    return bool(theirs == ours)


def replay(task: Task, doc: Doc, replies: Sequence[str]) -> tuple[list[str], Any]:
    """Go through the rounds of a document with recorded replies.

    Returns:
        The prompt of each round; and what is scored: an agent's final payload, else all outputs.
    """
    prompts, outputs, info = [task.render_text(doc)], [], None
    is_agentic = task.spec.output_type == AGENTIC
    for round_index, reply in enumerate(replies, start=1):
        outputs = [*outputs, reply]
        request, turn = task.next_request(doc, 0, outputs=outputs, round_index=round_index, info=info)
        outputs, info = turn.outputs, turn.info
        if request is None:
            break
        if round_index < len(replies):
            prompts.append(request.text)
    return prompts, final_output(outputs, info, is_terminal=turn.is_terminal) if is_agentic else tuple(outputs)


@contextlib.contextmanager
def empty_media_home() -> Iterator[None]:
    """Let tasks look for media in a folder that only holds what `_Comparison` puts there."""
    before = os.environ.get("HF_HOME")
    with tempfile.TemporaryDirectory() as home:
        os.environ["HF_HOME"] = home
        try:
            yield
        finally:
            os.environ.pop("HF_HOME")
            if before is not None:
                os.environ["HF_HOME"] = before


def masked(line: Mapping[str, Any], number: int) -> Doc:
    """Draw the mask that a document is scored with where its task looks for it; return what numbers the row."""
    if "mask" not in line.get("aux", {}):
        return {}
    if mask := line["aux"]["mask"]:
        image = Image.new("L", tuple(mask["size"]), 0)
        for left, top, right, bottom in mask["white_rectangles"]:
            image.paste(255, (left, top, right, bottom))
        path = Path(os.environ["HF_HOME"], "pointbench", line["doc"]["mask_filename"])
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return {"row_idx": number, "question_id": number}
