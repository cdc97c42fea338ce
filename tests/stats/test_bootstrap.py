"""The bootstrap's error against the same resamples drawn here, and pooled errors where they are smallest."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from pytest_lmms.stats import bootstrap, intervals
from pytest_lmms.stats.bootstrap import OfTotals, bootstrap_difference

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


def test_a_difference_of_statistics_is_tested_by_the_spread_of_its_resamples():
    stats = pytest.importorskip("scipy.stats")
    a, b = [3.0, 1.0, 4.0, 1.0, 5.0], [2.0, 2.0, 1.0, 0.0, 3.0]
    found = bootstrap_difference(a, b, sum, iterations=6, seed=2)
    error = bootstrap.bootstrap_standard_error(
        [x - y for x, y in zip(a, b, strict=True)], sum, iterations=6, seed=2
    )  # of a sum, whose difference is the sum of differences
    assert (found.num_pairs, found.mean, found.degrees_of_freedom) == (5, 6.0, 4)
    assert found.standard_error == pytest.approx(error)
    assert found.p_value == pytest.approx(2 * stats.t.sf(6.0 / error, 4))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 4, loc=6.0, scale=error))


def test_a_difference_of_statistics_of_no_or_one_document_has_no_error():
    assert bootstrap_difference([], [], sum, iterations=5, seed=0)[:3] == (0, None, None)
    assert bootstrap_difference([3.0], [1.0], sum, iterations=5, seed=0)[:3] == (1, 2.0, None)


def ratio(items):
    """What is no mean of documents, with the sums that it can be told from."""
    return sum(x for x, _ in items) / sum(y for _, y in items)


RATIO = OfTotals(rows=list, value=lambda sums: sums[0] / sums[1])
FIRST = [(3.0, 4.0), (1.0, 2.0), (4.0, 5.0), (1.0, 3.0), (5.0, 9.0), (2.0, 6.0)]
SECOND = [(2.0, 7.0), (1.0, 8.0), (2.0, 8.0), (1.0, 8.0), (2.0, 8.0), (4.0, 5.0)]


def test_a_statistic_of_sums_has_the_error_that_its_documents_give():
    found = bootstrap.bootstrap_standard_error(FIRST, RATIO, iterations=30, seed=4)
    assert found == pytest.approx(bootstrap.bootstrap_standard_error(FIRST, ratio, iterations=30, seed=4))


@pytest.mark.parametrize("clusters", [None, "aabccc"], ids=["documents", "clusters"])
def test_two_statistics_of_sums_differ_as_their_documents_do(clusters):
    found, expected = (
        bootstrap_difference(FIRST, SECOND, statistic, clusters, iterations=30, seed=4) for statistic in (RATIO, ratio)
    )
    assert found[:2] == (6, pytest.approx(16 / 29 - 12 / 44))
    assert tuple(found) == pytest.approx(tuple(expected))


@pytest.mark.parametrize(
    ("first", "second", "clusters", "confidence", "told"),
    [
        ([], [], None, 1.5, "confidence must lie between 0 and 1"),
        ([1.0], [], None, 0.9, "not 1 and 0"),
        ([1.0, 2.0], [1.0, 2.0], [1], 0.9, "not 2 and 1"),
    ],
)
def test_lengths_and_confidence_are_checked_before_anything_is_drawn(first, second, clusters, confidence, told):
    with pytest.raises(ValueError, match=told):
        bootstrap_difference(first, second, sum, clusters, iterations=5, seed=0, confidence=confidence)
