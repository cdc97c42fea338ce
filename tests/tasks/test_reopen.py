"""A dataset that was opened before is memory-mapped, and never once anything it came from has changed."""

from __future__ import annotations

import io
import json
import os
import time

import datasets
import PIL.Image
import pytest

from pytest_lmms.media.image import LazyImage
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.rows import DatasetRows, TableRows, digest_row

LONG_AGO = time.time() - 3600


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A datasets cache of this test's own."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("pytest_lmms.tasks.reopen._RACY_NS", 0)
    return tmp_path / "cache"


@pytest.fixture
def open_rows(tmp_path, cache):
    def open_rows(text):
        (tmp_path / "utils.py").write_text("def p(data): return data\n")
        (tmp_path / "toy.yaml").write_text("task: toy\n" + text)
        return load_task(tmp_path / "toy.yaml").open_rows()

    return open_rows


def write(path, numbers):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"n": n}) + "\n" for n in numbers))


def numbers(rows):
    return [rows.document(i)["n"] for i in range(len(rows))]


FILES = "dataset_path: json\ntest_split: train\ndataset_kwargs: {data_files: data/rows-*.jsonl}\n"


def test_a_second_opening_maps_the_same_rows(tmp_path, open_rows):
    write(tmp_path / "data" / "rows-1.jsonl", range(100))
    first, second = open_rows(FILES), open_rows(FILES)
    assert isinstance(first, DatasetRows)
    assert isinstance(second, TableRows)
    assert [first.document(i) for i in range(100)] == [second.document(i) for i in range(100)]
    assert [digest_row(first.storage(i)) for i in range(3)] == [digest_row(second.storage(i)) for i in range(3)]
    assert first.columns == second.columns


def test_images_of_a_mapped_dataset_stay_closed(tmp_path, open_rows):
    file = io.BytesIO()
    PIL.Image.new("RGB", (3, 2), "red").save(file, "PNG")
    image = {"bytes": file.getvalue(), "path": None}
    features = {"i": datasets.Image(), "many": datasets.List(datasets.Image()), "s": {"x": datasets.Image()}}
    row = {"i": image, "many": [image], "s": {"x": image}}
    (tmp_path / "repo").mkdir()
    datasets.Dataset.from_list([row], features=datasets.Features(features)).to_parquet(
        tmp_path / "repo" / "test.parquet"
    )
    text = "dataset_path: repo\ntest_split: test\n"
    open_rows(text)
    rows = open_rows(text)
    assert isinstance(rows, TableRows)
    document = rows.document(0)
    assert all(isinstance(i, LazyImage) for i in (document["i"], document["many"][0], document["s"]["x"]))
    assert document["i"].getpixel((0, 0)) == (255, 0, 0)


def change_content(folder, cache):
    write(folder / "rows-1.jsonl", [7, 8, 9])


def change_content_and_keep_size_and_time(folder, cache):
    path = folder / "rows-1.jsonl"
    before = path.stat()
    write(path, [7, 8, 9])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))  # `datasets` goes by this time
    assert path.stat().st_size == before.st_size


def add_a_file(folder, cache):
    write(folder / "rows-0.jsonl", [7])


def remove_a_file(folder, cache):
    (folder / "rows-2.jsonl").unlink()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (change_content, [7, 8, 9, 5]),
        (change_content_and_keep_size_and_time, [7, 8, 9, 5]),
        (add_a_file, [7, 0, 1, 2, 5]),
        (remove_a_file, [0, 1, 2]),
    ],
)
def test_a_changed_source_is_opened_anew(tmp_path, cache, open_rows, change, expected):
    write(tmp_path / "data" / "rows-1.jsonl", [0, 1, 2])
    write(tmp_path / "data" / "rows-2.jsonl", [5])
    open_rows(FILES)
    assert isinstance(open_rows(FILES), TableRows)
    change(tmp_path / "data", cache)
    rows = open_rows(FILES)
    assert isinstance(rows, DatasetRows)
    assert numbers(rows) == expected


def test_changed_or_missing_arrow_files_are_made_anew(tmp_path, cache, open_rows):
    write(tmp_path / "data" / "rows-1.jsonl", [0, 1, 2])
    open_rows(FILES)
    (arrow,) = cache.rglob("*.arrow")
    os.utime(arrow, (LONG_AGO, LONG_AGO))
    assert isinstance(open_rows(FILES), DatasetRows)
    for path in sorted(cache.glob("json/**/*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert numbers(open_rows(FILES)) == [0, 1, 2]


def test_a_file_changed_a_moment_ago_is_not_trusted(tmp_path, open_rows, monkeypatch):
    monkeypatch.setattr("pytest_lmms.tasks.reopen._RACY_NS", 60_000_000_000)
    write(tmp_path / "data" / "rows-1.jsonl", [0, 1, 2])
    open_rows(FILES)
    assert isinstance(open_rows(FILES), DatasetRows)


def test_other_arguments_are_another_opening(tmp_path, open_rows):
    write(tmp_path / "data" / "rows-1.jsonl", [0, 1, 2])
    write(tmp_path / "data" / "other.jsonl", [5])
    open_rows(FILES)
    assert numbers(open_rows(FILES.replace("rows-*", "other"))) == [5]
    assert numbers(open_rows(FILES.replace("test_split: train", "test_split: 'train[1:]'"))) == [1, 2]
    assert numbers(open_rows(FILES.replace("test_split: train", "test_split: 'train[1:]'"))) == [1, 2]


def test_process_docs_gets_a_dataset(tmp_path, open_rows):
    write(tmp_path / "data" / "rows-1.jsonl", [0, 1, 2])
    open_rows(FILES)
    assert isinstance(open_rows(FILES + "process_docs: !function utils.p\n"), DatasetRows)


def test_a_damaged_note_is_no_harm(tmp_path, cache, open_rows):
    write(tmp_path / "data" / "rows-1.jsonl", [0, 1, 2])
    open_rows(FILES)
    (note,) = (cache / "pytest_lmms").iterdir()
    for text in ("", "[]", "{}", '{"stamps": {}, "sources": [], "arrow": []}'):
        note.write_text(text)
        assert numbers(open_rows(FILES)) == [0, 1, 2]
