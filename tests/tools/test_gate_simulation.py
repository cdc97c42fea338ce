"""The default gate's rates of error, on fewer pairs than `make simulate-gates` draws."""

from __future__ import annotations

from tools import gate_simulation


def outcomes(drop):
    drawn = gate_simulation.verdicts(1000, 0.10, drop, repeats=100, accuracy=0.7, seed=1)
    return [v.outcome for v in drawn]


def test_equal_models_hardly_ever_fail():
    assert outcomes(0.0).count("fail") <= 2


def test_a_drop_of_five_points_is_found():
    assert outcomes(0.05).count("fail") >= 85
