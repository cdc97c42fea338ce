"""A standard error is shown on its metric's scale, or not at all."""

from __future__ import annotations

import pytest

from pytest_lmms.results.uncertainty import shown_error


def values(value, mean, **errors):
    return {
        "acc,none": value,
        "document_means": {"acc,none": mean},
        **{f"acc_{kind},none": error for kind, error in errors.items()},
    }


@pytest.mark.parametrize(
    ("value", "mean", "shown"),
    [(0.5, 0.5, 0.1), (50.0, 0.5, 10.0), (49.98, 0.5, 10.0), (0.0, 0.0, 0.1), (37.0, 0.5, None), (800.0, 0.5, None)],
)
def test_the_clustered_error_is_scaled_as_the_metric_is(value, mean, shown):
    assert shown_error(values(value, mean, stderr="N/A", stderr_clustered=0.1), "acc", "none") == shown


def test_the_error_of_the_metric_itself_needs_no_scale():
    assert shown_error(values(50.0, 0.5, stderr=3.0, stderr_clustered="N/A"), "acc", "none") == 3.0
    assert shown_error(values(50.0, 0.5, stderr="N/A"), "acc", "none") is None


def test_results_without_the_documents_mean_are_taken_as_they_are():
    assert shown_error({"acc,none": 50.0, "acc_stderr_clustered,none": 0.1}, "acc", "none") == 0.1
