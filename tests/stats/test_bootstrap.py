"""The bootstrap's error against the same resamples drawn here, and pooled errors where they are smallest."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from pytest_lmms.stats import bootstrap, intervals

VALUES = [0.0, 1.0, 1.0, 5.0]


def test_the_error_is_the_deviation_of_the_statistic_over_the_resamples():
    rows = np.random.default_rng(3).integers(0, len(VALUES), size=(20, len(VALUES)))
    expected = statistics.stdev(statistics.fmean(VALUES[i] for i in row) for row in rows)
    found = bootstrap.bootstrap_standard_error(VALUES, statistics.fmean, iterations=20, seed=3)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("num_items", "iterations", "has_error"), [(2, 2, True), (1, 2, False), (2, 1, False)])
def test_two_items_and_two_resamples_are_enough(num_items, iterations, has_error):
    found = bootstrap.bootstrap_standard_error(VALUES[:num_items], sum, iterations=iterations, seed=0)
    assert (found is not None) == has_error


def test_the_statistic_is_called_once_a_resample_also_when_they_are_drawn_in_blocks(monkeypatch):
    monkeypatch.setattr(bootstrap, "_INDICES_PER_CHUNK", 3 * len(VALUES))
    seen = []
    bootstrap.bootstrap_standard_error(VALUES, lambda items: seen.append(items) or 1.0, iterations=8, seed=0)
    assert [len(items) for items in seen] == [len(VALUES)] * 8


def test_one_member_of_two_documents_has_its_own_error():
    assert intervals.pooled_standard_error([0.25], [2]) == pytest.approx(0.25)
    assert intervals.pooled_standard_error([0.25], [1]) is None
