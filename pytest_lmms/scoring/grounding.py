"""Boxes that a model writes: reading one, and the metrics of grounding tasks over all documents.

A box is (x1, y1, x2, y2) as fractions of width and height, 0 to 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.geometry import Box, box_centre, box_iou, is_in_box

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)
_NUMBER = r"\s*(-?\d{1,15}(?:\.\d+)?)"
_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\s*\]")


def read_box(text: str) -> list[float] | None:
    """Return the first four numbers in square brackets, each but the last directly before a comma; None without any."""
    found = _BOX.search(text)
    return [float(number) for number in found.groups()] if found else None


def _mean_over(score: Callable[[Box, Box], float]) -> Callable[[Sequence[Mapping[str, Any]]], float]:
    """Return an aggregation over items with a predicted box ``pred`` and a gold box ``bbox``."""

    def aggregation(items: Sequence[Mapping[str, Any]]) -> float:
        return fmean(score(item["pred"], item["bbox"]) for item in items)

    return aggregation


def _has_overlap(threshold: float) -> Callable[[Box, Box], float]:
    return lambda predicted, gold: float(box_iou(predicted, gold) >= threshold)


BOX_METRICS: dict[str, Callable[[Sequence[Mapping[str, Any]]], float]] = {
    "IoU": _mean_over(box_iou),
    **{f"ACC@{threshold}": _mean_over(_has_overlap(threshold)) for threshold in THRESHOLDS},
    "Center_ACC": _mean_over(lambda predicted, gold: float(is_in_box(box_centre(predicted), gold))),
}
"""Mean overlap, shares of boxes with at least some overlap, share of centres inside the gold box; 0 to 1."""
