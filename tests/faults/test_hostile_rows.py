"""Files of rows that a stranger wrote: too deep, too long, or unpacking to too much. Errors name the line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pytest_lmms.errors import DatasetError
from pytest_lmms.tasks import jsonfiles
from pytest_lmms.tasks.load import load_task

GOOD = b'{"question": "q", "answer": "a"}\n'


def deep(levels, opening=b"[", closing=b"]"):
    return b'{"question": "q", "answer": ' + opening * levels + b"1" + closing * levels + b"}\n"


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def opened(name, content, fields="dataset_path: json\ndataset_kwargs: {data_files: {test: data/%s}}\n"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
        path = tmp_path / "toy.yaml"
        text = "task: toy\ntest_split: test\ndoc_to_text: question\ndoc_to_target: answer\n"
        path.write_text(text + "metric_list: [{metric: exact_match}]\n" + (fields % name if "%" in fields else fields))
        return load_task(path).open_rows()

    return opened


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.txt", "rows.jsonl.gz"])
@pytest.mark.parametrize("row", [deep(30_000), deep(30_000, b'{"a":', b"}")], ids=["lists", "mappings"])
def test_a_row_that_is_too_deep_for_pyarrow_is_an_error_that_names_it(opened, name, row):
    content = GOOD * 3 + row + GOOD
    with pytest.raises(DatasetError, match=r"rows\.\S+:4: more than 1,000 lists and mappings inside each other"):
        opened(name, gzip.compress(content) if name.endswith("gz") else content)


@pytest.mark.parametrize(
    "fields",
    ["dataset_path: data\n", "dataset_path: json\ndataset_kwargs: {data_dir: data}\n",
     "dataset_path: json\ndataset_kwargs: {data_files: {test: 'data/*.jsonl'}}\n"],
)  # fmt: skip
def test_rows_of_a_folder_or_a_pattern_are_looked_at_too(opened, fields):
    with pytest.raises(DatasetError, match=r"test\.jsonl:2: more than 1,000"):
        opened("test.jsonl", GOOD + deep(30_000), fields)


def test_a_list_that_is_too_deep_is_refused_by_its_own_parser(opened):
    with pytest.raises(DatasetError):
        opened("rows.json", b"[" + deep(30_000) + b"]")


def test_brackets_in_texts_and_in_many_rows_are_no_depth(opened):
    text = json.dumps({"question": "[{" * 5_000 + '\\"[' * 3_000, "answer": "a"}).encode() + b"\n"
    wide = json.dumps({"question": "q", "answer": "a", "boxes": [[1, 2]] * 3_000}).encode() + b"\n"
    rows = opened("rows.jsonl", text + wide * 3 + text)
    assert len(rows) == 5
    assert rows.document(0)["question"].startswith("[{[{")


def test_a_line_that_is_too_long_is_an_error_that_names_it(opened, monkeypatch):
    monkeypatch.setattr(jsonfiles, "MAX_LINE_BYTES", 10_000)
    monkeypatch.setattr(jsonfiles, "_PIECE_BYTES", 1_000)
    long = json.dumps({"question": "q" * 20_000, "answer": "a"}).encode() + b"\n"
    with pytest.raises(DatasetError, match=r"rows\.jsonl:3: a line of more than 10,000 bytes"):
        opened("rows.jsonl", GOOD * 2 + long)
    assert len(opened("one.json", long)) == 1  # all of a file on one line is common


def test_a_file_that_unpacks_to_too_much_is_an_error(opened, monkeypatch):
    monkeypatch.setattr(jsonfiles, "ALWAYS_BYTES", 1_000)
    monkeypatch.setattr(jsonfiles, "_PIECE_BYTES", 1_000)
    with pytest.raises(DatasetError, match="unpacks to more than 100 times its size"):
        opened("rows.jsonl.gz", gzip.compress(GOOD * 100_000))


@pytest.mark.parametrize("beginning", [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\xef\xbb\xbf{"])
def test_a_damaged_file_is_an_error_of_whoever_reads_it(opened, beginning):
    with pytest.raises(DatasetError, match="cannot be opened"):
        opened("rows.jsonl", beginning + b"no" * 100)


def test_a_file_that_cannot_be_read_is_left_to_others(tmp_path):
    jsonfiles.check([Path(tmp_path / "nothing.jsonl")])
