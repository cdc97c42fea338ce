"""The run folder: shards as records finish, samples in order at the end, whatever happened in between."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pytest_lmms.errors import StoreError
from pytest_lmms.records import Record
from pytest_lmms.results.shards import index_shards
from pytest_lmms.results.store import RunFolder, file_name, find_runs, new_run_path


def record(doc_id, task="toy", **more):
    fields = {"status": "scored", "resps": ["A"], "filtered_resps": {"none": ["A"]}, **more}
    return Record(task=task, doc_id=doc_id, **fields)


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.start({"command": "pytest"})
    return folder


def merged(folder, *, keep_samples=True):
    seen = []
    index = folder.merge(keep_samples=keep_samples, each=lambda task, value: seen.append((task, value["doc_id"])))
    return seen, index


def test_records_of_all_workers_come_in_document_order(folder):
    for name, ids in (("gw0", [3, 0]), ("gw1", [2, 1])):
        shard = folder.shard(name)
        for i in ids:
            shard.write([record(i)])
    assert merged(folder)[0] == [("toy", i) for i in range(4)]
    lines = (folder.path / "samples_toy.jsonl").read_text().splitlines()
    assert [json.loads(line)["doc_id"] for line in lines] == [0, 1, 2, 3]


def test_a_record_is_on_disk_before_anything_else_happens(folder):
    folder.shard("main").write([record(0)])
    assert index_shards(folder.shards).places["toy"].keys() == {0}


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_line_cut_short_costs_that_record_only(folder, cut):
    shard = folder.shard("main")
    shard.write([record(0)])
    shard.write([record(1)])
    path = folder.shards / "main.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    seen, index = merged(folder)
    assert seen == [("toy", 0)]
    assert index.num_torn == 1


def test_a_record_behind_a_torn_line_is_found(folder):
    shard = folder.shard("main")
    shard.write([record(0)])
    with (folder.shards / "main.jsonl").open("ab") as file:
        file.write(b'{"task":"toy","doc_id":7,"sta\n')
    shard.write([record(1)])
    assert merged(folder)[0] == [("toy", 0), ("toy", 1)]


def test_a_document_recorded_twice_counts_once(folder):
    folder.shard("gw0").write([record(0, resps=["first"])])
    folder.shard("gw1").write([record(0, resps=["second"])])
    seen, index = merged(folder)
    assert seen == [("toy", 0)]
    assert index.num_duplicates == 1


def test_text_of_every_kind_survives(folder):
    text = 'a "quoted"\nline\u2028 \ttab \ud800 \x00 é 文 {"task":"x"}'
    folder.shard("main").write([record(0, input=text, scores={"none": {"m": (1, {2: text})}})])
    values = []
    folder.merge(keep_samples=True, each=lambda _, value: values.append(value))
    assert values[0]["scores"] == {"none": {"m": (1, {2: text})}}
    (line,) = (folder.path / "samples_toy.jsonl").read_bytes().splitlines()
    assert json.loads(line)["input"] == text


def test_samples_appear_whole_or_not_at_all(folder):
    folder.shard("main").write([record(0)])

    def fail(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.merge(keep_samples=True, each=fail)
    assert not list(folder.path.glob("samples_*"))
    assert not list(folder.path.glob(".samples*"))


def test_without_samples_nothing_is_written_and_everything_is_seen(folder):
    folder.shard("main").write([record(0)])
    assert merged(folder, keep_samples=False)[0] == [("toy", 0)]
    assert not list(folder.path.glob("samples_*"))


def test_notes_are_no_records(folder):
    shard = folder.shard("main")
    shard.note(task="toy", num_documents=10)
    shard.write([record(0)])
    seen, index = merged(folder)
    assert seen == [("toy", 0)]
    assert index.notes == [{"task": "toy", "num_documents": 10}]


def test_the_second_worker_leaves_run_json_as_the_first_wrote_it(folder):
    folder.start({"command": "another"})
    assert folder.info()["command"] == "pytest"


def test_a_folder_of_a_later_version_is_refused(folder):
    folder.update(schema_version=99)
    with pytest.raises(StoreError, match="99"):
        folder.info()


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"run\.json is missing"):
        RunFolder(tmp_path).info()


def test_runs_of_one_second_lie_in_different_folders(tmp_path):
    paths = {new_run_path(tmp_path, "m") for _ in range(20)}
    assert len(paths) > 1
    assert all(len(path.name.rpartition("_")[2]) == 8 for path in paths)  # of 32 bits: arrays of jobs start together


def test_the_newest_run_comes_first(tmp_path):
    for number, name in enumerate(("b", "a")):
        folder = RunFolder(tmp_path / name)
        folder.start({})
        os.utime(folder.path / "run.json", (number, number))
    assert [r.path.name for r in find_runs(tmp_path)] == ["a", "b"]


def test_the_newest_run_comes_first_though_the_clock_was_set_back(tmp_path):
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    first.start({})
    os.utime(first.path / "run.json", (4e9, 4e9))  # before the clock was set right
    second.start({})
    assert [r.path.name for r in find_runs(tmp_path)] == ["second", "first"]
    first.update(status="complete")
    assert [r.path.name for r in find_runs(tmp_path)] == ["first", "second"]
    second.update(status="complete")
    assert [r.path.name for r in find_runs(tmp_path)] == ["second", "first"]


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "3"])
def test_a_run_json_that_is_none_is_named(folder, text):
    (folder.path / "run.json").write_text(text)
    with pytest.raises(StoreError, match=r"run\.json"):
        folder.info()


def test_a_record_too_deep_to_be_written_is_an_error_that_says_so(folder):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    (written,) = folder.shard("main").write([record(0, scores={"none": {"m": deep}})])
    assert (written.status, "recursion" in written.error) == ("error", True)
    assert merged(folder)[0] == [("toy", 0)]


def test_a_damaged_note_costs_itself_only(folder):
    shard = folder.shard("main")
    with (folder.shards / "main.jsonl").open("ab") as file:
        file.write(b'{"note":{"task":"toy"}\n{"note":' + b"[" * 100_000 + b"}\n")
    shard.write([record(0)])
    seen, index = merged(folder)
    assert (seen, index.notes, index.num_torn) == ([("toy", 0)], [], 2)


def test_a_models_name_is_made_safe_for_a_file():
    assert file_name("org/model:v1 x") == "org_model_v1_x"
    assert file_name("///") == "unnamed"


MEMORY = """
import sys
from pathlib import Path
from pytest_lmms.config import RunConfig
from pytest_lmms.plugin import summary
from pytest_lmms.records import Record
from pytest_lmms.results.report import Expected, finish_run
from pytest_lmms.results.store import RunFolder

folder = RunFolder(Path(sys.argv[1])); folder.start({})
shard = folder.shard("gw0")
for i in range(10_000):
    shard.write([Record(task="toy", doc_id=i, status="scored", input="x" * 10_000, resps=["y" * 10_000],
                        filtered_resps={"none": ["A"]}, scores={"none": {"exact_match": 1.0}})])
finished = finish_run(folder, Expected(documents={"toy": range(10_000)}, paths={"toy": Path(sys.argv[2])}),
                      RunConfig(), status="complete")
assert finished.results["counts"]["n_scored"] == 10_000
# Not ru_maxrss: a child starts with its parent's.
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1024)
"""


def test_ten_thousand_records_of_20_kb_are_merged_in_less_than_150_mb(tmp_path):
    task = tmp_path / "toy.yaml"
    task.write_text(
        "task: toy\ndataset_path: x/y\ntest_split: test\noutput_type: generate_until\n"
        "doc_to_text: question\ndoc_to_target: answer\nmetric_list:\n  - metric: exact_match\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "run"), str(task)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 150
