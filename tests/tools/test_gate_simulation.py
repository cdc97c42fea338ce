"""The default gate's rates of error: computed, and drawn on fewer pairs than `make simulate-gates` draws."""

from __future__ import annotations

import pytest

from tools import gate_simulation


@pytest.mark.parametrize("churn", [0.02, 0.10, 0.30])
def test_equal_models_fail_at_most_one_time_in_a_hundred(churn):
    assert gate_simulation.probability(300, churn, 0.0) <= 0.01


def test_a_drop_of_five_points_is_found_as_often_as_a_test_at_that_level_can(monkeypatch):
    for churn, least in ((0.10, 0.96), (0.20, 0.80)):
        found = gate_simulation.probability(1000, churn, 0.05)
        assert found > least
        assert found == pytest.approx(gate_simulation.bound(1000, churn), abs=0.005)
    assert gate_simulation.needed(0.10) < 1000 < gate_simulation.needed(0.20)


def test_a_list_of_runs_raises_no_more_false_alarms_than_one_run():
    alone = gate_simulation.probability(300, 0.10, 0.0)
    shared = gate_simulation.probability(300, 0.10, 0.0, num_runs=5)
    assert alone / 8 < shared
    assert 1 - (1 - shared) ** 5 <= 0.01


def test_pairs_drawn_at_random_fail_as_often_as_was_computed():
    drawn = gate_simulation.verdicts(300, 0.10, 0.05, repeats=200, accuracy=0.7, seed=1)
    found = sum(v.outcome == "fail" for v in drawn) / 200
    assert found == pytest.approx(gate_simulation.probability(300, 0.10, 0.05), abs=0.1)


@pytest.mark.parametrize("size", [1, 4])
def test_scores_between_right_and_wrong_are_judged_as_strictly(size):
    settings = {"num_documents": 1000, "churn": 0.10, "repeats": 60, "seed": 1, "size": size}
    assert list(gate_simulation.graded(0.0, **settings)).count("fail") <= 3
    assert list(gate_simulation.graded(0.05, **settings)).count("fail") >= 54
