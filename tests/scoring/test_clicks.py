"""Points are read from what models write where they should click."""

from __future__ import annotations

import pytest

from pytest_lmms.scoring.clicks import read_click


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("<bbox>0.1 0.2 0.3 0.4</bbox>", (0.2, 0.3)),
        ("I click at [0.25, 0.5].", (0.25, 0.5)),
        ("(25%, 50%)", (0.25, 0.5)),
        ('{"x": 12, "y": 34}', (12, 34)),
        ("the box 10, 20, 30, 40", (20, 30)),
        ("10, 20, 30, 40", (10, 20)),
        ("at 7", None),
        ("", None),
    ],
)
def test_a_point_is_read_from_boxes_pairs_names_or_the_first_two_numbers(text, point):
    found = read_click(text)
    assert found == point if point is None else found == pytest.approx(point)
