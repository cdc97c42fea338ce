"""`pytest-lmms tasks new`: what it writes runs as it is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pytest_lmms.cli.task_new import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_benchmark_passes_the_check_and_runs_offline(run, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    code, output, error = run("tasks", "new", "mine", "--kind", kind)
    assert code == 0, output + error
    assert "pytest-lmms tasks check" in output
    answers = {}
    for number, line in enumerate((tmp_path / "mine" / "miniature" / "mine.jsonl").read_text().splitlines()):
        answers[f"mine[{number}]"] = json.loads(line)["answer"]
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "mine", "-q", "--lmms-data=mini", "--lmms-model=scripted",
         "--lmms-model-args=file=answers.json", "--no-lmms-report"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (results,) = (tmp_path / "results").glob("*/results.json")
    found = json.loads(results.read_text())["results"]["mine"]
    assert found["mine_accuracy,none"] == 1.0
    assert len(found["mine_accuracy,none,sub_scores"]) == 2


def test_it_is_made_below_benchmarks_where_there_is_such_a_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    assert run("tasks", "new", "mine", "--kind", "text")[0] == 0
    assert (tmp_path / "benchmarks" / "mine" / "mine.yaml").is_file()


@pytest.mark.parametrize("name", ["../x", "Mine", "1st", "a-b", "a b", "", "x/y", "..", "__init__", "a" * 61])
def test_a_name_that_cannot_be_a_benchmarks_is_refused(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert run("tasks", "new", name)[0] == 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["null", "true", "on", "no", "class", "utils", "json", "test", "a" * 60])
def test_a_word_that_means_something_elsewhere_is_a_name_like_any_other(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    code, output, error = run("tasks", "new", name, "--kind", "text")
    assert code == 0, output + error
    assert run("tasks", "check", f"{name}/{name}.yaml")[0] == 0


@pytest.mark.parametrize("name", ["mme", "mathverse", "mmlu_stem"])
def test_a_name_of_the_catalogue_is_refused_and_says_where_it_is(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    code, _, error = run("tasks", "new", name)
    assert code == 4
    assert "benchmarks/m" in error
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    code, _, error = run("tasks", "new", "mine")
    assert code == 4
    assert "there is such a folder" in error
    assert not list((tmp_path / "mine").iterdir())
