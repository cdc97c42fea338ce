"""`pytest-lmms compare` and `pytest-lmms gate`."""

from __future__ import annotations

import json

import pytest

from tests.results.run_files import write_run


@pytest.fixture
def runs(tmp_path):
    """Two runs of one task, the second worse."""
    return [write_run(tmp_path / n, {"t": [1] * k + [0] * (40 - k)}) for n, k in (("first", 30), ("second", 10))]


def test_a_table_shows_differences_and_documents(run, runs):
    code, said, _ = run("compare", *runs, "--documents", 1)
    assert code == 0
    assert "-0.5000" in said
    assert "20 documents got worse\n  tasks/t.yaml::t[10]\n" in said


def test_markdown_and_json_are_printed(run, runs):
    assert run("compare", *runs, "--markdown")[1].startswith("| Metric | Run |")
    (found,) = json.loads(run("compare", *runs, "--json")[1])["comparisons"]
    assert (found["run"], found["mean_difference"]) == ("second", -0.5)


def test_runs_that_cannot_be_compared_are_told_by_the_exit_code(run, runs, tmp_path):
    other = write_run(tmp_path / "other", {"t": [1] * 40}, samples={"doc_hash": "x"})
    code, said, _ = run("compare", *runs, other)
    assert code == 1
    assert "another dataset version" in said


def test_what_is_not_compared_is_named(run, runs, tmp_path):
    more = write_run(tmp_path / "more", {"t": [1] * 40, "u": [1]})
    code, said, _ = run("compare", runs[0], more)
    assert code == 0
    assert said.endswith("more: not compared, because the first run has not: u\n")
    code, _, error = run("compare", write_run(tmp_path / "empty", {}), *runs)
    assert code == 1
    assert error.endswith("empty: this run has no metric to compare\n")


def test_one_run_or_no_run_is_a_wrong_argument(run, runs, tmp_path):
    assert run("compare", runs[0])[0] == 4
    code, _, error = run("compare", runs[0], tmp_path)
    assert code == 4
    assert "no run here" in error


def test_a_finished_run_is_judged(run, runs):
    code, said, _ = run("gate", runs[1], "--baseline", runs[0], "--fail-on-regression")
    assert code == 1
    assert said.startswith("FAIL         t/acc: 1pt and p<0.01 and within 5pt  0.75 -> 0.25 (-0.5)")
    assert run("gate", runs[0], "--baseline", runs[0], "--fail-on-regression", "--fail-under", "acc=0.7")[0] == 0
    assert json.loads(run("gate", runs[0], "--fail-under", "acc=0.8", "--json")[1])["failed"] == 1
    assert run("gate", runs[0], "--fail-under", "acc=0.8", "--markdown")[1].startswith("### Gates: 1 of 1 failed")


def test_a_finished_run_is_kept_as_a_baseline_unless_it_fails(run, runs, tmp_path):
    store = ["--store", tmp_path / "store"]
    assert run("gate", runs[0], "--save-baseline", "main", *store)[0] == 0
    judged = ["--baseline", "last:main", "--fail-on-regression", "--save-baseline", "main", *store]
    assert run("gate", runs[1], *judged)[0] == 1
    assert [p.name for p in (tmp_path / "store" / "main").iterdir()] == ["first"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing is demanded"),
        (["--fail-on-regression", "2%"], "nothing to compare with"),
        (["--fail-under", "acc"], "METRIC=VALUE"),
        (["--fail-under", "acc=1", "--save-baseline", "../main"], "--save-baseline: '../main' is no name"),
        (["--fail-on-regression", "--baseline", "last:main"], "no baseline 'main'"),
    ],
)
def test_gates_that_make_no_sense_are_wrong_arguments(run, runs, arguments, message):
    code, _, error = run("gate", runs[0], *arguments)
    assert code == 4
    assert message in error


def test_baselines_are_compared_by_their_names(run, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("gate", runs[0], "--save-baseline", "main")[0] == 0
    code, said, _ = run("compare", "last:main", runs[1])
    assert (code, "-0.5000" in said) == (0, True)
    code, _, error = run("compare", "last:mian", runs[1])
    assert code == 4
    assert "did you mean: main?" in error


def test_a_run_is_put_beside_published_scores(run, tmp_path):
    ours = write_run(tmp_path / "ours", {"mme": [1, 0]}, metric="mme_perception_score")
    code, said, _ = run("compare", ours, "published")
    assert code == 0
    assert "mme/mme_perception_score: run 0.5000, published 1534.4400 (Qwen2.5-VL-3B)" in said
    assert "source: https://github.com/EvolvingLMMs-Lab/lmms-eval/" in said
    assert {entry["metric"][0] for entry in json.loads(run("compare", ours, "published", "--json")[1])} == {"mme"}
    code, _, error = run("compare", ours, "published", "--markdown")
    assert (code, "no table" in error) == (4, True)


def test_a_run_without_published_scores_is_said_to_have_none(run, runs):
    code, _, error = run("compare", runs[0], "published")
    assert code == 1
    assert "no published score of its tasks is known" in error
