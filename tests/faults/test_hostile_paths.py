"""Rows of a dataset whose media are stored by their paths: those of the dataset's own folders, and no others."""

from __future__ import annotations

import json
import shutil

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from pytest_lmms.errors import MediaError
from pytest_lmms.tasks.load import load_task

STORED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TEXT = {"dtype": "string", "_type": "Value"}


@pytest.fixture
def private(tmp_path):
    """What is no part of any dataset."""
    folder = tmp_path / "private"
    folder.mkdir()
    PIL.Image.new("RGB", (7, 5)).save(folder / "mine.png")
    soundfile.write(folder / "mine.wav", np.zeros(1600, np.float32), 16_000)
    return folder


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A task over a Parquet file whose media are stored by the paths given."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench" / "data").mkdir(parents=True)

    def task(paths, kind="Image", *, many=False):
        media = [{"bytes": None, "path": str(path)} for path in paths]
        column = pa.array([[m] for m in media], pa.list_(STORED)) if many else pa.array(media, STORED)
        texts = [f"q{i}" for i in range(len(media))]
        feature = {"_type": "List", "feature": {"_type": kind}} if many else {"_type": kind}
        features = {"medium": feature, "question": TEXT, "answer": TEXT}
        table = pa.table({"medium": column, "question": texts, "answer": texts})
        told = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(table.replace_schema_metadata(told), tmp_path / "bench" / "data" / "rows.parquet")
        path = tmp_path / "bench" / "toy.yaml"
        path.write_text(
            "task: toy\ntest_split: test\ndataset_path: parquet\ndataset_kwargs: {data_files: {test: data/*.parquet}}\n"
            "doc_to_visual: medium\ndoc_to_text: question\ndoc_to_target: answer\n"
            "metric_list: [{metric: exact_match}]\n"
        )
        return path

    return task


@pytest.mark.parametrize("many", [False, True], ids=["one", "a list"])
@pytest.mark.parametrize("kind", ["Image", "Audio", "Video"])
@pytest.mark.parametrize("written", ["absolute", "relative", "a link"])
def test_a_row_that_names_a_file_elsewhere_is_refused(task, private, tmp_path, kind, written, many):
    mine = private / ("mine.wav" if kind == "Audio" else "mine.png")
    link = tmp_path / "bench" / "data" / mine.name
    link.symlink_to(mine)
    path = {"absolute": mine, "relative": f"private/../private/{mine.name}", "a link": link}[written]
    for _ in range(2):  # the second time without `datasets`
        with pytest.raises(MediaError, match=f"{mine.name}' lies outside the folders of its dataset"):
            load_task(task([path], kind, many=many)).open_rows().document(0)


def test_a_file_beside_the_rows_or_of_a_dataset_that_is_trusted_is_opened(task, private, tmp_path, monkeypatch):
    beside = tmp_path / "bench" / "data" / "media" / "own.png"
    beside.parent.mkdir()
    PIL.Image.new("RGB", (3, 2)).save(beside)
    assert load_task(task([beside])).open_rows().document(0)["medium"].size == (3, 2)
    monkeypatch.setenv("LMMS_EVAL_MEDIA_ROOT", str(private))
    assert load_task(task([private / "mine.png"])).open_rows().document(0)["medium"].size == (7, 5)
    monkeypatch.setenv("LMMS_EVAL_MEDIA_ROOT", "")
    monkeypatch.setenv("LMMS_MEDIA_OUTSIDE_ROOTS", "1")
    assert load_task(task([private / "mine.png"])).open_rows().document(0)["medium"].size == (7, 5)


def test_such_a_row_costs_its_document_and_no_other(task, private, tmp_path, remote):
    own = remote.path / "bench" / "data" / "own.png"
    task([own, private / "mine.png", own])
    shutil.copytree(tmp_path / "bench", remote.path / "bench", dirs_exist_ok=True)
    PIL.Image.new("RGB", (3, 2)).save(own)
    run = remote.run("--lmms-model", "dummy", "--lmms-data", "full")
    assert run.code == 1, run
    assert "1 failed, 2 passed" in run.output
    assert "lies outside the folders of its dataset" in run.output
    assert "INTERNALERROR" not in run.output
