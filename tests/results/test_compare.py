"""Comparing two runs document by document."""

from __future__ import annotations

import pytest

from pytest_lmms import stats
from pytest_lmms.results.compare import compare, pair
from pytest_lmms.results.comparison import aggregates_only, another_version
from pytest_lmms.results.runs import DocumentScore, Metric, read_run
from tests.results.run_files import write_run

ACC = Metric("t", "acc", "none")
HERE, THERE = [1, 0, 0, 1, 0, 1], [1, 1, 1, 1, 0, 0]


@pytest.fixture
def compared(tmp_path):
    """`compared(here, there, here_more, there_more)`: the comparison of two written runs."""

    def compared(here, there, here_more=None, there_more=None):
        run = read_run(write_run(tmp_path / "run", {"t": here}, **here_more or {}))
        baseline = read_run(write_run(tmp_path / "baseline", {"t": there}, **there_more or {}))
        return compare(run, baseline, ACC)

    return compared


def test_documents_are_paired_and_those_that_changed_are_named(compared):
    c = compared(HERE, THERE)
    assert (c.num_pairs, c.num_unpaired) == (6, 0)
    assert c.effect == pytest.approx(-1 / 6)
    assert c.mean_difference == pytest.approx(-1 / 6)
    assert (c.worse, c.better) == ((1, 2), (5,))
    assert c.p_value == stats.mcnemar(HERE, THERE).p_value
    assert c.test == "McNemar's test"
    assert c.obstacle is None


def test_graded_scores_are_tested_by_differences(compared):
    here, there = [0.5, 0.2, 0.9], [0.7, 0.3, 0.9]
    c = compared(here, there)
    assert c.p_value == stats.paired_difference(here, there).p_value
    assert c.test == "paired t test"
    assert c.worse == (0, 1)


def test_related_documents_are_tested_by_cluster(compared):
    def item(value, cluster):
        return {"score": value, "video": cluster}

    here = [item(v, c) for v, c in zip(HERE, "aabbcc", strict=True)]
    there = [item(v, c) for v, c in zip(THERE, "aabbcc", strict=True)]
    more = {"configs": {"cluster_key": "video"}}
    c = compared(here, there, more, more)
    assert c.p_value == stats.paired_difference(HERE, THERE, list("aabbcc")).p_value
    assert c.test == "clustered t test"


def test_less_is_better_turns_worse_around(compared):
    c = compared([2.0, 5.0], [1.0, 9.0], {"higher_is_better": False}, {"higher_is_better": False})
    assert (c.worse, c.better, c.sign) == ((0,), (1,), -1)


def test_documents_of_one_run_only_are_counted_and_left_out(compared):
    c = compared([1, 0, None, 1], [1, 1, 1])
    assert (c.num_pairs, c.num_unpaired) == (2, 2)
    assert c.effect == pytest.approx(-0.5)
    assert "scored by one of the two only" in c.notes[0]


def test_a_metric_that_is_no_mean_has_an_effect_on_equal_documents_only(compared, tmp_path):
    c = compared([1, 0], [1, 1], {"aggregates": {"t": 100.0}}, {"aggregates": {"t": 160.0}})
    assert (c.effect, c.effect_from) == (-60, 160)
    other = read_run(write_run(tmp_path / "other", {"t": [1, 1, 1]}, aggregates={"t": 240.0}))
    c = compare(read_run(tmp_path / "run"), other, ACC)
    assert (c.effect, c.mean_difference) == (None, -0.5)


def test_points_are_hundredths_of_scores_up_to_one(compared):
    assert compared([1, 0], [0.5, 0]).points == 0.01


@pytest.mark.parametrize(("scores", "most"), [(([1, 0], [0, 1]), 1.0), (([1.0, 0.2], [0.1, 0.9]), 1.0)])
def test_an_interval_of_few_scores_ends_where_no_difference_can_lie(compared, scores, most):
    c = compared(*scores)
    assert (c.low, c.high) == (-most, most)


def test_an_interval_of_larger_scores_has_no_such_end(compared):
    c = compared([100, 0], [0, 50])
    assert c.low < -100 < 100 < c.high


def test_points_are_units_of_larger_scores(compared):
    assert compared([100, 0], [50, 0]).points == 1


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"samples": {"doc_hash": "other"}}, "another dataset version: 6 documents"),
        ({"configs": {"dataset_name": "v2"}}, "dataset_name of the task differs"),
        ({"configs": {"generation_kwargs": {"max_new_tokens": 4}}}, "generation_kwargs of the task differs"),
        ({"configs": {"metadata": {"version": 2}}}, "metadata of the task differs"),
        ({"config": {"resolved_cli_args": {"gen_kwargs": {"temperature": 1}}}}, "gen_kwargs differs"),
        ({"config": {"resolved_cli_args": {"data": "mini"}}}, "data differs"),
        ({"n-shot": {"t": 5}}, "examples before each document differ: 0, baseline 5"),
    ],
)
def test_runs_that_asked_something_else_are_not_compared(compared, more, why):
    c = compared(HERE, THERE, {}, more)
    assert why in c.obstacle
    assert c.mean_difference is None


def test_a_task_that_the_baseline_lacks_is_an_obstacle(tmp_path):
    run = read_run(write_run(tmp_path / "run", {"t": [1]}))
    baseline = read_run(write_run(tmp_path / "baseline", {"other": [1]}))
    assert "no task t" in compare(run, baseline, ACC).obstacle


def test_no_common_documents_are_an_obstacle():
    score = DocumentScore(1.0, None, "", "A", "")
    c = pair({0: score}, {1: score}, metric=ACC, higher_is_better=True, value=1.0, baseline=1.0)
    assert c.obstacle == "no common documents"


def test_another_target_is_another_dataset_where_rows_have_no_digest():
    a, b = ({0: DocumentScore(1.0, None, "", target, "")} for target in "AB")
    c = pair(a, b, metric=ACC, higher_is_better=True, value=1.0, baseline=1.0)
    assert "another dataset version" in c.obstacle


def test_other_prompts_are_noted_and_compared(compared):
    c = compared(HERE, THERE, {}, {"samples": {"input": "in other words"}})
    assert c.obstacle is None
    assert "the prompts of 6 documents differ" in c.notes


def test_a_metric_without_numbers_is_compared_by_its_aggregates():
    c = pair({}, {}, metric=ACC, higher_is_better=True, value=0.4, baseline=0.6)
    assert c.effect == pytest.approx(-0.2)
    assert (c.mean_difference, c.p_value, c.num_pairs) == (None, None, 0)
    assert (c.num_unpaired, c.notes) == (
        0, ("documents have no single number under this metric: only its aggregates are compared",)
    )  # fmt: skip


@pytest.mark.parametrize(("value", "baseline"), [(None, 0.6), (0.4, None), (None, None)])
def test_aggregates_of_which_one_is_missing_have_no_difference(value, baseline):
    c = pair({}, {}, metric=ACC, higher_is_better=True, value=value, baseline=baseline)
    assert (c.effect, c.effect_from) == (None, baseline)


def test_why_only_aggregates_are_compared_is_told():
    fields = {"metric": ACC, "higher_is_better": True, "value": 1.0, "baseline": 1.0}
    expected = "documents have no single number under this metric, and so it is: only its aggregates are compared"
    assert aggregates_only("so it is", fields).notes == (expected,)


@pytest.mark.parametrize(("number", "shown"), [(5, "(0, 1, 2, 3, 4)"), (6, "(0, 1, 2, 3, 4, ...)")])
def test_of_many_other_documents_the_first_five_are_named(number, shown):
    a, b = ({i: DocumentScore(1.0, None, digest, "A", "") for i in range(number)} for digest in "xy")
    assert another_version(a, b, list(range(number))).endswith(f"{number} documents not the same {shown}")


def test_a_row_whose_digest_one_run_does_not_tell_is_known_by_its_target():
    a, b, c = (
        {0: DocumentScore(1.0, None, digest, target, "")} for digest, target in [("x", "A"), ("", "A"), ("", "B")]
    )
    assert another_version(a, b, [0]) is None
    assert another_version(a, c, [0]) is not None
