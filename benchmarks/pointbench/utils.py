"""PointBench: point at what a sentence means; a mask says where right points lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.subscores import over, with_sub_scores
from pytest_lmms.tasks.mediafiles import find_media
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]
FORM = (
    "Your answer should be formatted as a list of tuples, i.e. [(x1, y1), (x2, y2), ...], where each tuple contains the"
    " x and y coordinates of a point satisfying the conditions above. The coordinates should be integers between 0 and"
    " 999, representing the pixel locations scaled to a 1000x1000 grid."
    " Return only list of tuples, do not add anything else."
)
NUMBER = r"([-+]?(?:\d{1,15}(?:\.\d*)?|\.\d+))"
PAIR = re.compile(rf"\({NUMBER}\s*,\s*{NUMBER}\)")
GRID = 1000
THRESHOLD = 127
"""Grey values above it belong to the mask."""


def pointbench_rows(dataset: Any) -> Any:
    """Number the rows."""
    return dataset.map(lambda _, index: {"row_idx": index, "question_id": index}, with_indices=True)


def pointbench_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's picture."""
    name = doc["image_filename"]
    return [find_media("pointbench", [f"selected_images/{name}", name, f"images/{name}"], beside=__file__)]


def pointbench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return what to point at, and how to write points."""
    return instructed(f"{doc['user_input'].strip()} {FORM}", kwargs).strip()


def to_pixel(value: float, other: float, size: int) -> int:
    """Return a coordinate in pixels: both of a pair in 0 to 1 are fractions, in 0 to 1000 on a grid, else pixels."""
    largest = max(value, other)
    if min(value, other) < 0 or largest > GRID:
        return round(value)
    return round(value * size) if largest <= 1 else round(value / GRID * size)


def pointbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one response: the share of its points that lie in the mask."""
    from PIL import Image

    name = doc["mask_filename"]
    with Image.open(find_media("pointbench", [f"selected_masks/{name}", name], beside=__file__)) as stored:
        mask = stored.convert("L")
    pairs = [(float(x), float(y)) for x, y in PAIR.findall(results[0])]
    points = [[to_pixel(x, y, mask.width), to_pixel(y, x, mask.height)] for x, y in pairs]
    is_inside = [0 <= x < mask.width and 0 <= y < mask.height for x, y in points]
    hits = [inside and mask.getpixel((x, y)) > THRESHOLD for inside, (x, y) in zip(is_inside, points, strict=True)]
    item = {"id": doc["row_idx"], "pred": results[0], "parsed_points": points, "category": doc["category"]}
    item["accuracy"] = fmean(map(float, hits)) if hits else 0.0
    item = Item(item, score=item["accuracy"])
    return {"pointbench_acc": item} if points else Unparsed(pointbench_acc=item)


def _mean(items: Sequence[Doc]) -> float:
    return fmean(item["accuracy"] for item in items)


@with_sub_scores(over("category", aggregation=_mean))
def pointbench_aggregate(items: Sequence[Doc]) -> float:
    """Return the mean share of points in the mask, 0 to 1."""
    return _mean(items)
