"""Statistics: numbers worked out by hand, or by scipy where it has the test."""

from __future__ import annotations

import importlib
import itertools
import math
import random
import subprocess
import sys
from collections.abc import Callable
from statistics import fmean, median, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lmms import stats

scipy_stats: Any = importlib.import_module("scipy.stats")

FEW = st.lists(st.floats(-100, 100), min_size=2, max_size=30)


def test_importing_the_module_imports_neither_numpy_nor_scipy() -> None:
    code = "import sys, pytest_lmms.stats; sys.exit(any(m.split('.')[0] in ('numpy', 'scipy') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Standard errors


def test_the_clt_error_divides_the_sample_deviation_by_the_root_of_n() -> None:
    # mean 0.5, squares 4 * 0.25 = 1, variance 1/3, over n = 4: 1/12
    assert stats.standard_error_clt([1, 0, 1, 0]) == pytest.approx(math.sqrt(1 / 12))


@pytest.mark.parametrize("values", [[], [0.7]])
def test_one_value_has_no_standard_error(values: list[float]) -> None:
    assert stats.standard_error_clt(values) is None
    assert stats.standard_error_clustered(values, ["a"] * len(values)) is None


def test_equal_values_have_an_error_of_exactly_zero() -> None:
    assert stats.standard_error_clt([0.1] * 7) == 0.0


def test_the_clustered_error_adds_the_covariance_within_clusters() -> None:
    # d = (.5, .5, -.5, -.5); SE**2 = 1/12; per cluster (1)**2 - .5 = .5, twice, over 16: 1/16
    error = stats.standard_error_clustered([1, 1, 0, 0], ["a", "a", "b", "b"])
    assert error == pytest.approx(math.sqrt(1 / 12 + 1 / 16))


def test_clusters_that_cancel_out_shrink_the_error() -> None:
    # per cluster (0)**2 - .5 = -.5, twice, over 16: -1/16
    error = stats.standard_error_clustered([1, 0, 1, 0], ["a", "a", "b", "b"])
    assert error == pytest.approx(math.sqrt(1 / 12 - 1 / 16))


def test_a_single_cluster_tells_nothing_about_the_error() -> None:
    assert stats.standard_error_clustered([1, 0, 1], ["v", "v", "v"]) is None


def test_clusters_and_values_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="not 2 and 1"):
        stats.standard_error_clustered([1, 0], ["a"])


@given(FEW)
def test_clusters_of_one_document_give_the_clt_error(values: list[float]) -> None:
    clustered = stats.standard_error_clustered(values, range(len(values)))
    assert clustered == pytest.approx(stats.standard_error_clt(values), abs=1e-9)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(0, 3)), max_size=40))
def test_the_clustered_error_is_never_negative_nor_not_a_number(
    pairs: list[tuple[float, int]],
) -> None:
    error = stats.standard_error_clustered([v for v, _ in pairs], [c for _, c in pairs])
    assert error is None or error >= 0


def test_the_bootstrap_of_a_mean_comes_near_the_formula() -> None:
    rng = random.Random(5)
    values = [rng.random() for _ in range(200)]
    error = stats.bootstrap_standard_error(values, fmean, iterations=2000, seed=1)
    assert error == pytest.approx(stdev(values) / math.sqrt(200), rel=0.06)


def test_the_bootstrap_repeats_itself_for_one_seed_and_not_for_another() -> None:
    values = [0.1, 0.5, 0.2, 0.9, 0.4]
    first, again, other = (
        stats.bootstrap_standard_error(values, median, iterations=200, seed=seed) for seed in (7, 7, 8)
    )
    assert first == again != other


def test_the_bootstrap_takes_items_of_any_kind() -> None:
    def share_right(pairs: list[tuple[str, str]]) -> float:
        return fmean(gold == predicted for gold, predicted in pairs)

    items = [("yes", "yes"), ("no", "yes")] * 50
    error = stats.bootstrap_standard_error(items, share_right, iterations=1000, seed=0)
    assert error == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("answer", ["0.5", None, {"a": 1}, math.nan, math.inf])
def test_the_bootstrap_of_what_is_no_number_is_none(answer: object) -> None:
    assert stats.bootstrap_standard_error([1, 2], lambda _: answer, iterations=9, seed=0) is None


@pytest.mark.parametrize(("items", "iterations"), [([], 10), ([1], 10), ([1, 2], 0), ([1, 2], 1)])
def test_too_few_items_or_iterations_give_no_bootstrap(items: list[int], iterations: int) -> None:
    assert stats.bootstrap_standard_error(items, fmean, iterations=iterations, seed=0) is None


def test_the_pooled_error_follows_its_formula() -> None:
    # (2*3*.01 + 4*5*.04) / (8 - 2) / 8 = .86 / 48
    error = stats.pooled_standard_error([0.1, 0.2], [3, 5])
    assert error == pytest.approx(math.sqrt(0.86 / 48))


def test_members_of_equal_mean_pool_to_the_error_of_all_documents_but_one_degree() -> None:
    one, many = [0.0, 1.0] * 20, [0.0, 1.0] * 40
    error = stats.standard_error_clt(one)
    assert stats.pooled_standard_error([error, error], [40, 40]) == pytest.approx(
        stats.standard_error_clt(many), rel=0.01
    )


@pytest.mark.parametrize(("errors", "sizes"), [([], []), ([0.1, None], [3, 3]), ([0.0, 0.0], [1, 1])])
def test_a_group_without_all_its_errors_has_none(errors: list[float | None], sizes: list[int]) -> None:
    assert stats.pooled_standard_error(errors, sizes) is None


def test_members_need_an_error_and_a_size_each() -> None:
    with pytest.raises(ValueError, match="equal length are needed, not 2 and 1"):
        stats.pooled_standard_error([0.1, 0.2], [3])


def test_intervals_are_normal_unless_degrees_of_freedom_are_given() -> None:
    assert stats.confidence_interval(0.5, 0.1) == pytest.approx((0.304004, 0.695996), abs=1e-6)
    # t(.975, 4) = 2.776445
    interval = stats.confidence_interval(0.5, 0.1, degrees_of_freedom=4)
    assert interval == pytest.approx((0.2223555, 0.7776445), abs=1e-6)


@pytest.mark.parametrize(
    "bad",
    [{"confidence": 1.0}, {"confidence": 95}, {"degrees_of_freedom": 0}, {"standard_error": -1.0}],
)
def test_intervals_refuse_numbers_out_of_range(bad: dict[str, float]) -> None:
    arguments = {"mean": 0.0, "standard_error": 1.0} | bad
    with pytest.raises(ValueError, match=next(iter(bad))):
        stats.confidence_interval(**arguments)  # type: ignore[arg-type]


# Two models


def test_the_paired_difference_is_a_paired_t_test() -> None:
    a = [0.9, 0.4, 0.7, 0.8, 0.3, 0.6]
    b = [0.5, 0.5, 0.6, 0.4, 0.2, 0.6]
    expected = scipy_stats.ttest_rel(a, b)
    low, high = expected.confidence_interval(0.95)
    ours = stats.paired_difference(a, b)
    assert ours.num_pairs == 6
    assert ours.mean == pytest.approx(0.15)
    assert ours.p_value == pytest.approx(expected.pvalue)
    assert (ours.low, ours.high) == pytest.approx((low, high))
    assert ours.degrees_of_freedom == 5
    assert ours.p_less == pytest.approx(scipy_stats.ttest_rel(a, b, alternative="less").pvalue)
    assert stats.paired_difference(b, a).p_less == pytest.approx(1 - (ours.p_less or 0))


def test_clusters_widen_the_paired_interval_and_take_degrees_of_freedom() -> None:
    a, b = [1, 1, 1, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0, 1, 1]
    alone = stats.paired_difference(a, b)
    together = stats.paired_difference(a, b, clusters=[0, 0, 0, 1, 1, 1, 2, 2])
    assert together.mean == alone.mean == 0.375
    assert together.standard_error == pytest.approx(
        stats.standard_error_clustered([1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 2, 2])
    )
    assert together.degrees_of_freedom == 2
    assert (together.p_value or 0) > (alone.p_value or 0)


def test_too_few_pairs_leave_fields_empty() -> None:
    assert stats.paired_difference([], []) == (0, None, None, None, None, None, None, None)
    assert stats.paired_difference([1], [0]) == (1, 1.0, None, None, None, None, None, None)
    assert stats.paired_difference([1, 0], [0, 0], ["v", "v"])[1:3] == (0.5, None)


def test_models_that_never_differ_have_p_one_and_a_constant_gap_has_p_zero() -> None:
    assert stats.paired_difference([1, 0, 1], [1, 0, 1])[1:] == (0.0, 0.0, 0.0, 0.0, 1.0, 2, 0.5)
    assert stats.paired_difference([2, 1, 2], [1, 0, 1])[1:] == (1.0, 0.0, 1.0, 1.0, 0.0, 2, 1.0)
    assert stats.paired_difference([1, 0, 1], [2, 1, 2]).p_less == 0


@given(FEW, st.randoms())
def test_swapping_the_models_mirrors_the_difference(a: list[float], rng: random.Random) -> None:
    b = [rng.uniform(-100, 100) for _ in a]
    one, other = stats.paired_difference(a, b), stats.paired_difference(b, a)
    assert one.mean == pytest.approx(-(other.mean or 0))
    assert one.p_value == pytest.approx(other.p_value)
    assert one.low == pytest.approx(-(other.high or 0))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_mcnemar_is_the_exact_binomial_test_on_disagreements(
    pairs: list[tuple[bool, bool]],
) -> None:
    ours = stats.mcnemar([a for a, _ in pairs], [b for _, b in pairs])
    only_a = sum(a and not b for a, b in pairs)
    only_b = sum(b and not a for a, b in pairs)
    assert (ours.only_first, ours.only_second) == (only_a, only_b)
    num = only_a + only_b
    expected = scipy_stats.binomtest(only_a, num).pvalue if num else 1.0
    assert ours.p_value == pytest.approx(expected)
    below, at = scipy_stats.binom.cdf(only_a - 1, num, 0.5), scipy_stats.binom.pmf(only_a, num, 0.5)
    assert ours.p_less == pytest.approx(below + at / 2)


def test_mcnemar_by_hand() -> None:
    # 1 against 6: 2 * (1 + 7) / 2**7
    ours = stats.mcnemar([1] + [0] * 6 + [1, 0], [0] + [1] * 6 + [1, 0])
    assert (ours.only_first, ours.only_second) == (1, 6)
    assert ours.p_value == pytest.approx(0.125)
    assert ours.p_less == pytest.approx((1 + 7 / 2) / 2**7)
    assert stats.mcnemar([1], [1]).p_less == 0.5


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
def test_the_one_sided_test_errs_hardly_more_often_than_its_level_says(alpha: float) -> None:
    counts = range(400)
    errs = []  # by number of disagreements, how often fair coins fail
    for num in counts:
        weights = scipy_stats.binom.pmf(range(num + 1), num, 0.5)
        p_less = weights.cumsum() - weights / 2
        errs.append(weights[p_less < alpha].sum())
    for expected in (1, 2, 3, 5, 7, 10, 15, 20, 40, 80, 160, 300):
        level = sum(scipy_stats.poisson.pmf(counts, expected) * errs)
        assert level <= 1.03 * alpha, expected


@pytest.mark.parametrize("compared", [stats.mcnemar, stats.paired_difference])
def test_two_models_must_have_answered_equally_many_documents(compared: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="equal length are needed, not 2 and 1"):
        compared([1, 0], [1])


def test_a_confidence_out_of_range_is_refused_even_where_nothing_is_compared() -> None:
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        stats.paired_difference([], [], confidence=95)


def test_mcnemar_refuses_scores_between_right_and_wrong() -> None:
    with pytest.raises(ValueError, match=r"0 or 1, not 0\.5"):
        stats.mcnemar([0.5], [1])


# Power analysis


def test_the_default_sample_size_is_2181() -> None:
    assert stats.sample_size() == 2181
    assert stats.sample_size(0.03, alpha=0.05, power=0.8, correlation=0.5) == 2181


def test_power_and_minimum_effect_by_hand() -> None:
    # sigma = .5; .03 / .5 * sqrt(1000) = 1.897367 - 1.959964 = -.062597
    assert stats.power(1000) == pytest.approx(0.475044, abs=1e-5)
    # 2.801585 * .5 over the root of 1000
    assert stats.minimum_detectable_effect(1000) == pytest.approx(0.044297, abs=1e-6)


def test_one_deviation_given_counts_for_both_models() -> None:
    assert stats.sample_size(std_a=0.4) == stats.sample_size(std_b=0.4)
    assert stats.sample_size(std_a=0.4) == stats.sample_size(std_a=0.4, std_b=0.4)


def test_full_correlation_is_fine_when_deviations_differ() -> None:
    # sigma = .1: (2.801585 * .1 / .03)**2 = 87.2
    assert stats.sample_size(correlation=1, std_a=0.5, std_b=0.4) == 88


def test_models_that_are_right_where_the_other_is_wrong_can_be_planned_for() -> None:
    # sigma = 1: (2.801585 / .03)**2 = 8720.9
    assert stats.sample_size(correlation=-1) == 8721
    with pytest.raises(ValueError, match="correlation"):
        stats.sample_size(correlation=-1.1)


def test_models_that_can_never_differ_are_an_error() -> None:
    with pytest.raises(ValueError, match="never differ"):
        stats.sample_size(correlation=1)


OUT_OF_RANGE = [{"correlation": 1.1}, {"std_a": 0}, {"std_b": 0}, {"std_b": -1, "std_a": 0.5}, {"alpha": 0}]


@pytest.mark.parametrize("bad", [{"effect": 0}, {"alpha": 2}, {"power": 1}, *OUT_OF_RANGE])
def test_power_analysis_names_the_number_that_is_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(bad))} must"):
        stats.sample_size(**bad)


@pytest.mark.parametrize("bad", [{"num_documents": 0}, {"effect": 0}, {"alpha": 2}, *OUT_OF_RANGE])
def test_power_names_the_number_that_is_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(bad))} must"):
        stats.power(**{"num_documents": 100, **bad})  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [{"num_documents": 0}, {"alpha": 2}, {"power": 1}, *OUT_OF_RANGE])
def test_the_smallest_effect_names_the_number_that_is_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(bad))} must"):
        stats.minimum_detectable_effect(**{"num_documents": 100, **bad})  # type: ignore[arg-type]


@given(st.floats(0.01, 0.2), st.floats(0.001, 0.2), st.floats(0.5, 0.99), st.floats(-0.9, 0.9))
def test_the_three_figures_invert_each_other(effect: float, alpha: float, wanted: float, correlation: float) -> None:
    n = stats.sample_size(effect, alpha=alpha, power=wanted, correlation=correlation)
    assert stats.power(n, effect, alpha=alpha, correlation=correlation) >= wanted - 1e-9
    found = stats.minimum_detectable_effect(n, alpha=alpha, power=wanted, correlation=correlation)
    assert found <= effect * (1 + 1e-9)
    if n > 1:
        assert stats.power(n - 1, effect, alpha=alpha, correlation=correlation) <= wanted + 1e-9


# Stability


def test_stability_figures_of_three_documents_with_four_repeats() -> None:
    scores = [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1]]
    assert stats.expected_accuracy(scores) == pytest.approx(7 / 12)
    assert stats.consensus_accuracy(scores) == pytest.approx(1 / 3)
    # variances 0, 1/3, 1/4
    assert stats.internal_variance(scores) == pytest.approx(7 / 36)
    assert stats.consistency_rate(scores) == pytest.approx(1 / 3)


def test_without_repeats_there_is_no_stability() -> None:
    nothing: list[list[list[float]]] = [[], [[]]]
    for scores in nothing:
        assert stats.expected_accuracy(scores) is None
        assert stats.consensus_accuracy(scores) is None
        assert stats.internal_variance(scores) is None
        assert stats.consistency_rate(scores) is None
    assert stats.internal_variance([[1], [0]]) is None


def test_two_repeats_are_enough_for_a_variance() -> None:
    assert stats.internal_variance([[0, 1]]) == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("num_samples", "num_correct", "k"), [(5, 2, 1), (5, 2, 3), (5, 0, 2), (5, 5, 2), (4, 1, 4), (1, 1, 1)]
)
def test_pass_at_k_is_the_share_of_all_draws_that_hold_a_right_answer(
    num_samples: int, num_correct: int, k: int
) -> None:
    draws = list(itertools.combinations([True] * num_correct + [False] * (num_samples - num_correct), k))
    assert stats.pass_at_k(num_samples, num_correct, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize(("num_samples", "num_correct", "k"), [(5, 2, 0), (5, 2, 6), (5, -1, 2), (5, 6, 2)])
def test_pass_at_k_refuses_numbers_out_of_range(num_samples: int, num_correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k"):
        stats.pass_at_k(num_samples, num_correct, k)
