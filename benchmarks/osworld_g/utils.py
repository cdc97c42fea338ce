"""OSWorld-G: where to click for an instruction, on screenshots of a desktop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.clicks import NUM_SIDES, read_click
from pytest_lmms.scoring.geometry import Point, is_in_box, is_in_polygon
from pytest_lmms.scoring.subscores import grouped

Doc = Mapping[str, Any]
INSTRUCTION = (
    "Identify the UI target for the instruction and output exactly one click point as [x, y]. You may use either"
    " normalized coordinates in [0, 1] or absolute pixel coordinates. If the target does not exist, output [-1, -1]."
    "\nInstruction: "
)
METRICS = ("osworld_g_acc", "osworld_g_bbox_acc", "osworld_g_polygon_acc", "osworld_g_refusal_acc")
MIN_CORNERS = 3


def osworld_g_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the screenshot."""
    return [doc["image"].convert("RGB")]


def osworld_g_doc_to_text(doc: Doc) -> str:
    """Return what to point at, and how to write it."""
    return INSTRUCTION + str(doc["instruction"])


def osworld_g_doc_to_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return one user turn, the screenshot before the text."""
    image, text = osworld_g_doc_to_visual(doc)[0], osworld_g_doc_to_text(doc)
    return [{"role": "user", "content": [{"type": "image", "url": image}, {"type": "text", "text": text}]}]


def is_hit(point: Point, kind: str, target: Sequence[float], size: Sequence[float]) -> bool:
    """Tell whether a click is right.

    Args:
        point: In pixels, or as fractions when both numbers are in 0 to 1.
        kind: ``bbox``: in the box x, y, width, height. ``polygon``: in the polygon, or in the box of two corners.
            ``refusal``: both numbers negative, since there is no target.
        target: Pixels.
        size: Width and height of the screenshot in pixels.
    """
    x, y = (point[0] * size[0], point[1] * size[1]) if all(0 <= c <= 1 for c in point) else (point[0], point[1])
    if kind == "refusal":
        return x < 0 and y < 0
    if kind == "bbox":
        left, top, width, height = target
        return is_in_box((x, y), (left, top, left + width, top + height))
    if kind != "polygon":
        return False
    xs, ys = target[::2], target[1::2]
    if len(target) == NUM_SIDES:
        return is_in_box((x, y), (min(xs), min(ys), max(xs), max(ys)))
    if len(xs) != len(ys) or len(xs) < MIN_CORNERS:
        return False
    return is_in_polygon((x, y), list(zip(xs, ys, strict=True)))


def _size(doc: Doc) -> Sequence[float]:
    """Width and height of the screenshot in pixels: as the row says, or as it is."""
    size = doc.get("image_size") or ()
    return size if len(size) == len("xy") and min(size) > 0 else doc["image"].size


def osworld_g_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one click; each metric's aggregation picks the documents of its kind."""
    point, kind = read_click(results[0]), str(doc.get("box_type", "")).lower()
    hit = point is not None and is_hit(point, kind, doc["box_coordinates"], _size(doc))
    item = Item({"correct": hit, "box_type": kind}, score=float(hit))
    scores = dict.fromkeys(METRICS, item)
    return Unparsed(scores) if point is None else scores


def _share(items: Sequence[Doc]) -> float:
    return sum(item["correct"] for item in items) / len(items) if items else 0.0


def osworld_g_acc(items: Sequence[Doc]) -> float:
    """Return the share of right clicks, 0 to 1."""
    return _share(items)


def osworld_g_bbox_acc(items: Sequence[Doc]) -> float:
    """Return the share of right clicks on boxes, 0 without any."""
    return _share(grouped(items, "box_type").get("bbox", []))


def osworld_g_polygon_acc(items: Sequence[Doc]) -> float:
    """Return the share of right clicks on polygons, 0 without any."""
    return _share(grouped(items, "box_type").get("polygon", []))


def osworld_g_refusal_acc(items: Sequence[Doc]) -> float:
    """Return the share of refusals where there is no target, 0 without any."""
    return _share(grouped(items, "box_type").get("refusal", []))
