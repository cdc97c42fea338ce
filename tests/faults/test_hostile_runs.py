"""Folders of runs that a stranger made: they are data, and what they hold is told or refused, never run."""

from __future__ import annotations

import json

import pytest

from pytest_lmms.viewer.live import Runs, answer
from tests.results.run_files import write_run

CODE = "import pathlib\npathlib.Path(__file__).with_name('harmed').touch()\n"
CODE += "def text(doc):\n    return 'q'\n"
YAML = "task: evil\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n"
YAML += "doc_to_text: !function utils.text\ndoc_to_target: a\n"


def evil_tasks(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "utils.py").write_text(CODE)
    (folder / "evil.yaml").write_text(YAML)
    (folder / "rows.jsonl").write_text('{"q": "q", "a": "a"}\n')


def run_of(folder, node_id, **plan):
    write_run(folder, {"evil": [1.0]}, node_ids={"evil": f"{node_id}::evil"})
    (folder / "run.json").write_text(json.dumps(plan))


def messages(shown, key):
    status, _, body = answer(Runs(shown), "/api/messages", {"run": key, "task": "evil", "id": "0"})
    return status, body.decode()


@pytest.mark.parametrize("started", ["elsewhere", "above", "in the run"])
@pytest.mark.parametrize("place", ["results/theirs", "results/theirs/a/b"])
def test_a_run_that_brings_its_task_along_is_shown_without_running_it(tmp_path, monkeypatch, started, place):
    run = tmp_path / place
    tasks = run / "tasks" if started == "in the run" else tmp_path / "results/theirs-too"
    run_of(run, "evil.yaml", rootdir=str(tasks))
    evil_tasks(tasks)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere" if started == "elsewhere" else tmp_path)
    for shown, key in ((tmp_path / "results", place.removeprefix("results/")), (tmp_path, place)):
        status, said = messages(shown, key)
        assert (status, "not loaded" in said) == (404, True)
    assert not (tasks / "harmed").exists()


@pytest.mark.parametrize("rootdir", [".", "results/theirs", ""])
def test_where_the_viewer_was_started_is_no_place_for_a_runs_task(tmp_path, monkeypatch, rootdir):
    evil_tasks(tmp_path / "results/theirs")
    run_of(tmp_path / "runs/one", "results/theirs/evil.yaml", rootdir=rootdir, cwd=rootdir)
    monkeypatch.chdir(tmp_path)
    assert "not on this machine" in messages(tmp_path / "runs", "one")[1]
    assert not (tmp_path / "results/theirs/harmed").exists()


def test_a_task_of_the_catalogue_lies_in_the_catalogue(tmp_path):
    evil_tasks(tmp_path / "tasks")
    run_of(tmp_path / "runs/one", f"lmms/{'../' * 30}{tmp_path}/tasks/evil.yaml", rootdir="/")
    assert "not on this machine" in messages(tmp_path / "runs", "one")[1]
    assert not (tmp_path / "tasks/harmed").exists()


@pytest.mark.parametrize("shown", ["results", "."])
def test_a_task_of_ones_own_beside_the_runs_is_loaded(tmp_path, monkeypatch, shown):
    evil_tasks(tmp_path / "tasks")
    run_of(tmp_path / "results/one", "tasks/evil.yaml", rootdir=str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    status, said = messages(tmp_path / shown, "one" if shown == "results" else "results/one")
    assert status == 200, said
