"""ScreenSpot-V2: where to click for a command, on screenshots of phones, desktops and web pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.clicks import NUM_SIDES, read_click
from pytest_lmms.scoring.geometry import Box, is_in_box

Doc = Mapping[str, Any]
INSTRUCTION = (
    "Identify the UI element for the instruction and output exactly one click point as [x, y] in normalized coordinates"
    " within [0, 1]. Do not output a bounding box.\nInstruction: "
)
METRICS = ("screenspot_v2_action_acc", "screenspot_v2_text_acc", "screenspot_v2_icon_acc")
NO_BOX = (0.0, 0.0, 0.0, 0.0)


def screenspot_v2_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the screenshot."""
    return [doc["image"].convert("RGB")]


def screenspot_v2_doc_to_text(doc: Doc) -> str:
    """Return what to point at, and how to write it."""
    return INSTRUCTION + str(doc["instruction"])


def screenspot_v2_doc_to_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return one user turn, the screenshot before the text."""
    content = [{"type": "image", "url": image} for image in screenspot_v2_doc_to_visual(doc)]
    return [{"role": "user", "content": [*content, {"type": "text", "text": screenspot_v2_doc_to_text(doc)}]}]


def gold_box(sides: Sequence[float], size: Sequence[float]) -> Box:
    """Return left, top, right and bottom as shares of the screenshot.

    Args:
        sides: Shares, or pixels; in pixels the last two may be width and height. Other than four are no box.
        size: Width and height in pixels.
    """
    if len(sides) != NUM_SIDES:
        return NO_BOX
    left, top, right, bottom = map(float, sides)
    if all(0 <= side <= 1 for side in (left, top, right, bottom)) and right >= left and bottom >= top:
        return left, top, right, bottom
    if right <= left or bottom <= top:
        right, bottom = left + right, top + bottom
    return left / size[0], top / size[1], right / size[0], bottom / size[1]


def screenspot_v2_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one click; each metric's aggregation picks the documents of its kind."""
    columns = ("image_width", "image_height")
    size = [int(doc[c]) for c in columns] if all(c in doc for c in columns) else (1, 1)
    point = read_click(results[0])
    if point is not None and max(point) > 1:
        point = (point[0] / size[0], point[1] / size[1])
    hit = point is not None and is_in_box(point, gold_box(doc["bbox"], size))
    item = Item({"correct": hit, "data_type": doc.get("data_type", "")}, score=float(hit))
    scores = dict.fromkeys(METRICS, item)
    return Unparsed(scores) if point is None else scores


def _share(items: Sequence[Doc], kind: str = "") -> float:
    own = [item["correct"] for item in items if not kind or str(item["data_type"]).lower() == kind]
    return sum(own) / len(own) if own else 0.0


def screenspot_v2_action_acc(items: Sequence[Doc]) -> float:
    """Return the share of right clicks, 0 to 1."""
    return _share(items)


def screenspot_v2_text_acc(items: Sequence[Doc]) -> float:
    """Return the share of right clicks on texts, 0 without any."""
    return _share(items, "text")


def screenspot_v2_icon_acc(items: Sequence[Doc]) -> float:
    """Return the share of right clicks on icons, 0 without any."""
    return _share(items, "icon")
