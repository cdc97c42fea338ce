"""The fit of the benchmark of scale tells straight growth from what is not."""

from __future__ import annotations

import pytest

from tools.bench.scale import fit, show


def test_a_straight_line_is_found():
    assert fit([(1_000, 2.5), (10_000, 7.0), (100_000, 52.0)]) == pytest.approx((2.0, 0.0005))


def test_growth_with_the_square_is_far_from_the_fit():
    text = show("CPU", "s", [(n, 2 + n**2 / 1e7) for n in (1_000, 10_000, 100_000)])
    off = [float(line.split(",")[-1].split("%")[0]) for line in text.splitlines()[1:]]
    assert max(map(abs, off)) > 20
