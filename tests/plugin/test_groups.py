"""Groups, end to end: what is selected, what is asked once, what is reported."""

from __future__ import annotations

import pytest
import yaml

ROWS = {
    "red": [{"question": "q", "answer": a} for a in "AAB"],
    "green": [{"question": "q", "answer": a} for a in "AB"],
    "blue": [{"question": "q", "answer": "A"}],
}
EXACT = {"metric": "exact_match"}


@pytest.fixture
def colours(pytester, write_task):
    """Three tasks: 2/3, 1/2 and 1 of their documents have the answer A."""
    for name, rows in ROWS.items():
        write_task(pytester.path / "bench", name, rows)
    return pytester.path / "bench"


def write_group(folder, name, task, **fields):
    (folder / f"{name}.yaml").write_text(yaml.dump({"group": name, "task": task, **fields}))


def values_of(results, group):
    entry = results["groups"][group]
    return entry["exact_match,none"], entry["exact_match_stderr,none"]


def test_a_group_combines_its_tasks_and_their_errors(colours, run, results_of):
    write_group(colours, "even", ["red", "green"], aggregate_metric_list=[EXACT], group_alias="Even")
    write_group(colours, "sized", ["red", "green"], aggregate_metric_list=[{**EXACT, "weight_by_size": True}])
    outcome = run("bench", "--lmms-model-args", "response=A")
    assert outcome.ret == 0
    results = results_of()
    assert values_of(results, "even")[0] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert values_of(results, "sized")[0] == pytest.approx(3 / 5)
    red, green = (results["results"][t]["exact_match_stderr,none"] for t in ("red", "green"))
    pooled = ((2 * 3 * red**2 + 1 * 2 * green**2) / (5 - 2) * (1 / 3 + 1 / 2) / (1 / 3 + 1 / 2) * (1 / 5)) ** 0.5
    assert values_of(results, "sized")[1] == pytest.approx(pooled)
    assert results["group_subtasks"]["even"] == ["red", "green"]
    assert results["groups"]["even"]["n_scored"] == 5
    outcome.stdout.fnmatch_lines(["Group*", "*Even*exact_match*0.5833*", "*sized*exact_match*0.6000*"])


def test_a_task_of_two_groups_is_asked_once_and_counts_in_both(colours, run, results_of, records_of):
    write_group(colours, "one", ["red", "blue"], aggregate_metric_list=[EXACT])
    write_group(colours, "two", ["red", "green"], aggregate_metric_list=[EXACT])
    assert run("--lmms-tasks", "one,two", "--lmms-task-paths", "bench", "--lmms-model-args", "response=A").ret == 0
    assert len(records_of("red")) == 3
    assert values_of(results_of(), "one")[0] == pytest.approx((2 / 3 + 1) / 2)
    assert values_of(results_of(), "two")[0] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_groups_nest_also_when_written_in_place(colours, run, results_of):
    inner = {"group": "warm", "task": ["red"], "aggregate_metric_list": [EXACT]}
    write_group(colours, "all", [inner, "cold"], aggregate_metric_list=[EXACT])
    write_group(colours, "cold", ["green", "blue"], aggregate_metric_list=[EXACT])
    outcome = run("bench/all.yaml", "--lmms-model-args", "response=A")
    assert outcome.ret == 0
    results = results_of()
    assert values_of(results, "all")[0] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert values_of(results, "warm")[0] == pytest.approx(2 / 3)
    assert results["group_subtasks"]["all"] == ["warm", "cold"]
    outcome.stdout.fnmatch_lines(["Group*", "all*", "  warm*", "  cold*"])


def test_a_named_group_says_what_was_left_out_of_it(colours, run, results_of):
    write_group(colours, "all", ["red", "green"], aggregate_metric_list=[EXACT])
    assert run("bench/all.yaml", "-k", "red", "--lmms-model-args", "response=A").ret == 0
    entry = results_of()["groups"]["all"]
    assert (entry["tasks_left_out"], entry["complete"]) == (1, False)


def test_a_folder_reports_only_groups_of_which_everything_ran(colours, run, results_of):
    write_group(colours, "all", ["red", "green"], aggregate_metric_list=[EXACT])
    assert run("bench", "-k", "red", "--lmms-model-args", "response=A").ret == 0
    assert results_of()["groups"] == {}


def test_a_group_changes_its_tasks_and_only_its_own(colours, run, records_of, results_of):
    write_group(colours, "loud", [{"task": "red", "description": "LOUD "}, "blue"], aggregate_metric_list=[EXACT])
    outcome = run("bench/loud.yaml", "--lmms-model-args", "response=A", "-v")
    assert outcome.ret == 0
    outcome.stdout.fnmatch_lines(["*bench/loud.yaml::red::red[[]0[]]*"])
    assert {r["input"] for r in records_of("red")} == {"LOUD q"}
    assert {r["input"] for r in records_of("blue")} == {"q"}
    assert values_of(results_of(), "loud")[0] == pytest.approx((2 / 3 + 1) / 2)
    assert run("bench/loud.yaml::red::red[1]", "--lmms-model-args", "response=A").ret == 0
    assert [r["doc_id"] for r in records_of("red")] == [1]


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        (["red", "grean"], "*unknown task 'grean'*"),
        ([{"task": "red", "descripton": "x"}], "*unknown field 'descripton'*"),
        ([7], "*a member of group bad is 7*"),
    ],
)
def test_a_wrong_group_says_what_is_wrong(colours, run, task, complaint):
    write_group(colours, "bad", task)
    outcome = run("bench/bad.yaml")
    assert outcome.ret != 0
    assert outcome.parseoutcomes().get("passed", 0) == 0
    outcome.stdout.fnmatch_lines([complaint])


def test_a_metric_that_no_task_has_fails_the_run_and_names_those_there_are(colours, run):
    write_group(colours, "all", ["red"], aggregate_metric_list=[{"metric": "acc"}])
    outcome = run("bench/all.yaml")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(["group all: no task has the metric 'acc,none'", "*expected: one of exact_match,none"])
