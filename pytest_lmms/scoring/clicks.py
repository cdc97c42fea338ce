"""Reading where a response clicks: pairs, boxes and named coordinates, in pixels or shares."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_lmms.scoring.geometry import Point, box_centre
from pytest_lmms.scoring.spans import contents

NUMBER = r"-?\d+(?:\.\d+)?%?"
OPENING, CLOSING = (re.compile(tag, re.IGNORECASE) for tag in (r"<bbox[^<>]*>", "</bbox>"))
PAIR = re.compile(rf"[\[(]\s*({NUMBER})(?:\s*,\s*|\s+)({NUMBER})\s*[\])]")
NAMED_X, NAMED_Y = (re.compile(rf"{axis}[\"']?\s*[:=]\s*[\"']?({NUMBER})", re.IGNORECASE) for axis in "xy")
NUM_SIDES = 4


def _numbers(texts: Sequence[str]) -> list[float]:
    return [float(text[:-1]) / 100 if text.endswith("%") else float(text) for text in texts]


def read_click(text: str) -> Point | None:
    """Read a point: the centre of a ``<bbox>``, a pair in brackets, named coordinates, or the first two numbers.

    Four numbers beside a word such as "box" or "rectangle" are a box, whose centre counts.
    """
    tagged = contents(text, OPENING, CLOSING)
    if tagged and len(sides := _numbers(re.findall(NUMBER, tagged[0]))) >= NUM_SIDES:
        return box_centre(sides)
    if found := PAIR.search(text):
        return _numbers(found.groups())
    if (x := NAMED_X.search(text)) and (y := NAMED_Y.search(text, x.end())):
        return _numbers((x.group(1), y.group(1)))
    numbers = _numbers(re.findall(NUMBER, text))
    if len(numbers) >= NUM_SIDES and re.search("bbox|box|rect", text, re.IGNORECASE):
        return box_centre(numbers)
    return numbers[:2] if len(numbers) > 1 else None
