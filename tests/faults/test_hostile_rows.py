"""Files of rows that a stranger wrote: too deep, too long, or unpacking to too much. Errors name the line."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_lmms.errors import DatasetError
from pytest_lmms.tasks import jsonfiles, parquetfiles
from pytest_lmms.tasks.load import load_task
from tests.hub_server import Hub, running

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


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.xz"])
def test_rows_of_the_hub_are_looked_at_too(tmp_path, suffix):
    content = GOOD * 3 + deep(30_000) + GOOD
    packed = lzma.compress(content) if suffix.endswith("xz") else content
    said = of_the_hub(tmp_path, {f"test{suffix}": packed})
    assert re.search(r"DatasetError: \S+:4: more than 1,000 lists and mappings inside each other", said)


def test_good_rows_of_the_hub_are_read(tmp_path):
    assert of_the_hub(tmp_path, {"test.jsonl": GOOD * 3}).strip() == "3 rows"


def of_the_hub(tmp_path, files):
    """What a process says that opens the dataset of a Hub on this machine."""
    path = tmp_path / "toy.yaml"
    path.write_text(
        "task: toy\ntest_split: test\ndoc_to_text: question\ndoc_to_target: answer\ndataset_path: me/rows\n"
    )
    code = "import sys; from pytest_lmms.tasks.load import load_task\n"
    code += "try: print(len(load_task(sys.argv[1]).open_rows()), 'rows')\n"
    code += "except Exception as e: print(type(e).__name__, e, sep=': ')"
    with running(Hub(datasets={"me/rows": files})) as server:
        env = {k: v for k, v in os.environ.items() if not k.upper().startswith("HF_") and "proxy" not in k.lower()}
        env |= {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": server.endpoint, "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-c", code, str(path)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout


LONG = 2 << 20


def strings_of(kind):
    """Rows that repeat a text of 2 MiB or a number, written in some kilobytes."""
    long = "x" * LONG
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), pa.array([long]))
    if kind == "a dictionary":
        return pa.table({"question": rows, "answer": ["a"] * 1_000}), {"dictionary_pagesize_limit": 2**31 - 1}
    if kind == "in a structure":
        named = pa.StructArray.from_arrays([rows], ["text"])
        return pa.table({"question": named, "answer": ["a"] * 1_000}), {"dictionary_pagesize_limit": 2**31 - 1}
    if kind == "prefixes":
        encodings = {"question": "DELTA_BYTE_ARRAY", "answer": "PLAIN"}
        texts = pa.array([long] * 100)
        return pa.table({"question": texts, "answer": ["a"] * 100}), {
            "use_dictionary": False,
            "column_encoding": encodings,
        }
    numbers = pa.array(np.ones(20_000_000, np.int64))
    return pa.table({"question": ["q"], "n": pa.ListArray.from_arrays([0, len(numbers)], numbers)}), {}


@pytest.mark.parametrize("kind", ["a dictionary", "in a structure", "prefixes", "numbers"])
def test_a_small_parquet_file_that_holds_gigabytes_is_an_error_that_names_it(tmp_path, kind):
    table, settings = strings_of(kind)
    path = tmp_path / "test.parquet"
    pq.write_table(table, path, compression="zstd", **settings)
    del table
    assert path.stat().st_size < 2**20
    code = "import resource, sys, pathlib; from pytest_lmms.tasks import parquetfiles\n"
    code += "parquetfiles.ALWAYS_BYTES = 1 << 27\n"
    code += "resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))\n"
    code += "parquetfiles.check([pathlib.Path(sys.argv[1])])"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert "DatasetError" in done.stderr
    assert re.search(r"test\.parquet: column \S+ unpacks to more than 100 times", done.stderr)


def test_parquet_files_are_looked_at_before_they_are_read(opened, tmp_path, monkeypatch):
    buffer = io.BytesIO()
    pq.write_table(strings_of("a dictionary")[0], buffer, compression="zstd", dictionary_pagesize_limit=2**31 - 1)
    assert re.search("column question unpacks to more", of_the_hub(tmp_path, {"test.parquet": buffer.getvalue()}))
    monkeypatch.setattr(parquetfiles, "ALWAYS_BYTES", 1 << 20)
    buffer = io.BytesIO()
    pq.write_table(pa.table({"question": ["x" * 100_000] * 100, "answer": ["a"] * 100}), buffer, compression="zstd")
    fields = "dataset_path: parquet\ndataset_kwargs: {data_files: {test: data/%s}}\n"
    with pytest.raises(DatasetError, match=r"rows\.parquet: column question unpacks to more than 100 times"):
        opened("rows.parquet", buffer.getvalue(), fields)


def test_ordinary_parquet_files_are_let_through(tmp_path, monkeypatch):
    monkeypatch.setattr(parquetfiles, "SMALL_BYTES", 1 << 20)
    monkeypatch.setattr(parquetfiles, "ALWAYS_BYTES", 1 << 20)
    pictures = [{"bytes": os.urandom(20_000), "path": None} for _ in range(300)]
    table = pa.table({"image": pictures, "question": ["Is it?"] * 300, "options": [["a", "b"]] * 300, "n": [1.5] * 300})
    for compression in ("snappy", "zstd", "none"):
        pq.write_table(table, tmp_path / f"{compression}.parquet", compression=compression)
    parquetfiles.check(tmp_path.glob("*.parquet"))
