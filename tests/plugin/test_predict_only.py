"""`--lmms-predict-only`: responses are kept, and scored whenever somebody wants scores."""

from __future__ import annotations

import pytest


@pytest.fixture
def letters(pytester, write_task):
    write_task(pytester.path / "tasks", "letters")
    return "tasks", "--lmms-model-args=default=A"


def test_a_run_without_scores_keeps_every_response_and_passes(run, letters, results_of, records_of):
    result = run(*letters, "--lmms-predict-only", "-v", model="scripted")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*UNSCORED*", "*letters*(not scored)*3"])
    results = results_of()
    entry = results["results"]["letters"]
    assert entry["n_unscored"] == entry["n_expected"] == 3
    assert entry["n_scored"] == entry["n_error"] == entry["n_not_run"] == 0
    assert not [name for name in entry if "," in name]
    assert results["complete"]
    assert [(r["status"], r["resps"]) for r in records_of("letters")] == [("unscored", ["A"])] * 3


def test_its_responses_are_scored_later_without_asking(run, letters, run_folder, results_of):
    run(*letters, "--lmms-predict-only", model="scripted")
    result = run("tasks", f"--lmms-model-args=logs={run_folder()}", model="from_log")
    assert result.ret == 0
    assert results_of()["results"]["letters"]["exact_match,none"] == 1.0


def test_scoring_does_not_even_begin(run, pytester, write_task):
    code = """
def process_results(doc, results):
    if results == ["B"]:
        raise ValueError
    return {"exact_match": 0}
"""
    write_task(pytester.path / "tasks", "letters", code=code, process_results="!function utils.process_results")
    said = ["tasks", "--lmms-model-args=default=B"]
    assert run(*said, "--lmms-predict-only", model="scripted").ret == 0
    assert run(*said, model="scripted").ret == 1


def test_a_group_of_unscored_tasks_complains_of_nothing(run, letters, pytester, results_of):
    group = "group: all_letters\ntask: [letters]\naggregate_metric_list: [{metric: exact_match}]\n"
    (pytester.path / "tasks" / "group.yaml").write_text(group)
    result = run(*letters, "--lmms-predict-only", model="scripted")
    assert result.ret == 0
    assert results_of()["groups"]["all_letters"]["n_unscored"] == 3
    result.stdout.no_fnmatch_line("*no task has the metric*")


@pytest.mark.parametrize("gate", ["--lmms-fail-under=exact_match=1", "--lmms-save-baseline=main"])
def test_gates_need_scores(run, letters, gate):
    result = run("tasks", "--lmms-predict-only", gate)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--lmms-predict-only*predict_only and*are both set*"])
