"""Folders of runs that a stranger made: they are data, and what they hold is told or refused, never run."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pytest_lmms.errors import StoreError
from pytest_lmms.results.runs import read_run
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


@pytest.mark.parametrize("kind", ["device", "pipe"])
@pytest.mark.parametrize("name", ["samples_evil.jsonl", "results.json", "run.json", "x_results.json"])
def test_what_would_be_read_for_ever_is_told_at_once(tmp_path, kind, name):
    run_of(tmp_path / "good", "evil.yaml")
    run_of(tmp_path / "runs/bad", "evil.yaml", rootdir="/")
    if name == "x_results.json":
        (tmp_path / "runs/bad/results.json").unlink()
    path = tmp_path / "runs/bad" / name
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero") if kind == "device" else os.mkfifo(path)
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))\n"
    code += "from pytest_lmms.__main__ import main; sys.exit(main(sys.argv[1:]))"
    compared = subprocess.run(
        [sys.executable, "-c", code, "compare", str(tmp_path / "good"), str(tmp_path / "runs/bad")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in compared.stderr
    expected = {"samples_evil.jsonl": "no samples of task evil: [Errno 22] this is a device or a pipe", "run.json": ""}
    assert expected.get(name, "bad") in compared.stdout + compared.stderr
    assert len(Runs(tmp_path / "runs").summaries()) == 1
    assert messages(tmp_path / "runs", "bad")[0] == 404


def test_odd_names_of_tasks_lead_nowhere(tmp_path):
    for place, name in enumerate(["../../../etc/passwd", "x" * 5000, "a\0b", "/etc/passwd"]):
        for foreign in ({}, {"lmms_eval_version": "0.7"}):
            folder = write_run(tmp_path / f"{place}{len(foreign)}", {"t": [1.0]})
            results = json.loads((folder / "results.json").read_text())
            for part in ("results", "configs", "higher_is_better"):
                results[part] = {name: results[part]["t"]}
            results.pop("schema_version") if foreign else None
            (folder / "results.json").unlink()
            (folder / "d_results.json").write_text(json.dumps(results | foreign))
            run = read_run(folder)
            with pytest.raises(StoreError, match="no samples of task"):
                list(run.rows(name))
