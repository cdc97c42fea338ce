"""Boxes and points in a plane: overlap and containment. PURE.

A box is (x1, y1, x2, y2), x to the right and y down, in any unit, the same for all arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

Box = Sequence[float]
Point = Sequence[float]


def box_iou(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes, 0 to 1; 0 when the union has no area."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    overlap = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap / union if union else 0.0


def box_centre(box: Box) -> tuple[float, float]:
    """Return a box's centre."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def is_in_box(point: Point, box: Box) -> bool:
    """Tell whether a point lies in a box or on its border."""
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def is_in_polygon(point: Point, corners: Sequence[Point]) -> bool:
    """Tell whether a point lies in a polygon, by the number of edges that a ray to the right crosses.

    Args:
        point: x and y.
        corners: The polygon's corners in order, at least three; it closes by itself.
    """
    x, y = point[0], point[1]
    is_inside = False
    for (x1, y1), (x2, y2) in zip(corners, [corners[-1], *corners[:-1]], strict=True):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            is_inside = not is_inside
    return is_inside
