"""What is wrong with a task, told without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_lmms import catalog, cli
from pytest_lmms.testing import check_task

ROWS = [{"question": f"q{i}", "answer": a} for i, a in enumerate("AB")]
BODY = "dataset_path: x/y\ntest_split: test\ndoc_to_text: question\ndoc_to_target: answer\n"
OWN = BODY + "process_results: !function utils.score\nmetric_list: [{metric: acc, aggregation: mean}]\n"


def write(folder: Path, body: str, rows=ROWS, code: str = "") -> Path:
    (folder / "miniature").mkdir()
    (folder / "miniature" / "toy.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "utils.py").write_text(code)
    (folder / "toy.yaml").write_text("task: toy\n" + body)
    return folder / "toy.yaml"


def test_the_shipped_tasks_are_fine():
    benchmarks = catalog.folder("benchmarks")
    problems = {p.name: check_task(p) for p in benchmarks.rglob("*.yaml") if p.stem in ("mme", "mmmu_val")}
    assert problems == {"mme.yaml": [], "mmmu_val.yaml": []}


def test_a_sound_task_has_no_problems(tmp_path):
    assert check_task(write(tmp_path, BODY + "metric_list: [{metric: exact_match}]\n")) == []


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (BODY + "metric_list: [{metric: exact_mach}]\n", "", ["toy.yaml:6", "exact_mach", "exact_match"]),
        (BODY.replace("question", "'{{questoin}}'"), "", ["questoin"]),
        (BODY.replace("doc_to_text: question", "doc_to_text: questoin"), "", ["toy.yaml:4", "questoin", "question"]),
        (BODY + "filter_list: [{name: f, filter: [{function: regexp}]}]\n", "", ["regexp", "regex"]),
        (OWN, "def score(doc, results):\n    return {'acc': doc['anser']}\n", ["anser", "utils.py:2"]),
        (OWN, "def score(doc, results):\n    return {'accuracy': 1.0}\n", ["'acc'", "accuracy"]),
        (OWN, "def score(doc, results):\n    return 1.0\n", ["returned 1.0", "a mapping"]),
        (OWN, "def score(doc, results):\n    return {'acc': 'high'}\n", ["toy.yaml", "acc"]),
        (OWN, "", ["utils.score", "toy.yaml:6"]),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, body, code, said):
    problems = "\n".join(check_task(write(tmp_path, body, code=code)))
    for text in said:
        assert text in problems


def test_columns_that_the_miniature_lacks_are_named(tmp_path):
    code = "def score(doc, results):\n    return {'acc': float(doc.get('hint') is None)}\n"
    (problem,) = check_task(write(tmp_path, OWN, code=code))
    assert "the task reads the column hint, which the miniature lacks" in problem


def test_a_task_without_a_miniature_is_told_where_one_would_lie(tmp_path):
    path = write(tmp_path, BODY)
    (tmp_path / "miniature" / "toy.jsonl").unlink()
    (problem,) = check_task(path)
    assert str(tmp_path / "miniature" / "toy.jsonl") in problem


def test_the_command_says_fine_or_what_is_wrong(tmp_path, capsys):
    path = write(tmp_path, BODY)
    assert cli.main(["tasks", "check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: fine\n"
    path.write_text(path.read_text() + "metric_list: [{metric: nothing_such}]\n")
    assert cli.main(["tasks", "check", "toy", "--include-path", str(tmp_path)]) == 1
    assert "nothing_such" in capsys.readouterr().out
