"""Datasets of the Hub through its real client, against a server on this machine; each opening in its own process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub_server import Hub, running

OPEN = """
import os
import sys
from pathlib import Path
from pytest_lmms.errors import DatasetError
from pytest_lmms.tasks.load import load_task
try:
    rows = load_task(Path("toy.yaml")).open_rows()
    print("rows", *(rows.document(i)["n"] for i in range(len(rows))), type(rows).__name__)
except DatasetError as e:
    print("DatasetError", e)
print("imported datasets" if "datasets" in sys.modules else "without datasets", flush=True)
os._exit(0)  # Arrow's reading threads may abort an interpreter that ends just after they did (apache/arrow #34314)
"""


def parquet(numbers) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"n": list(numbers)}), file)
    return file.getvalue()


def tarred(files) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture
def hub():
    with running(Hub(datasets={"a/b": {"data/test-00000-of-00001.parquet": parquet(range(3))}})) as hub:
        yield hub


@pytest.fixture
def open_task(tmp_path, hub):
    """`open_task(kwargs="", **env)`: what a process printed that opened the documents of a task on the hub."""

    def open_task(kwargs="{}", *, path="a/b", name="null", split="test", **env):
        (tmp_path / "toy.yaml").write_text(
            f"task: toy\ndataset_path: {path}\ndataset_name: {name}\ntest_split: {split}\ndataset_kwargs: {kwargs}\n"
        )
        (tmp_path / "open.py").write_text(OPEN)
        home = {k: v for k, v in os.environ.items() if not k.upper().startswith("HF_") and "proxy" not in k.lower()}
        home |= {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1", **env}
        done = subprocess.run(
            [sys.executable, "open.py"],
            cwd=tmp_path,
            env=home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return open_task


def test_a_dataset_is_downloaded_once_and_reopened_without_importing_datasets(hub, open_task):
    assert "rows 0 1 2" in open_task()
    num_requests = len(hub.asked)
    again = open_task("{token: true}")
    assert "rows 0 1 2" in again
    assert "without datasets" in again
    assert len(hub.asked) - num_requests <= 2


def test_a_new_commit_on_the_hub_is_noticed(hub, open_task):
    assert "rows 0 1 2" in open_task()
    hub.datasets["a/b"]["data/test-00000-of-00001.parquet"] = parquet([7, 8, 9])
    assert "rows 7 8 9" in open_task()


def test_a_downloaded_dataset_opens_offline(open_task):
    open_task()
    assert "rows 0 1 2" in open_task(HF_HUB_OFFLINE="1")
    assert "rows 0 1 2" in open_task("{local_files_only: true, max_retries: 2}")


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_dataset_says_how_to_get_access(hub, open_task, status):
    hub.gated["a/b"] = status
    text = open_task()
    assert "DatasetError" in text
    assert "HF_TOKEN" in text


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"path": "a/nothing"}, ["a/nothing", "dataset_path"]),
        ({"split": "tset"}, ["tset", "correct the split"]),
        ({"name": "other"}, ["other", "dataset_name"]),
        ({"kwargs": "{revision: old}"}, ["old", "revision"]),
        ({"kwargs": "{From_YouTube: true}"}, ["From_YouTube", "not supported"]),
        ({"kwargs": "{builder_script: b.py}"}, ["builder_script", "not supported"]),
        ({"kwargs": "{video: true}"}, ["cache_dir"]),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_names_its_cause(open_task, choice, words):
    text = open_task(**choice)
    assert "DatasetError" in text
    assert "toy.yaml" in text
    assert all(word in text for word in words), text


# --- media --------------------------------------------------------------------------------------------------------


VIDEO = "{video: true, cache_dir: clips}"


def test_media_are_where_task_code_looks_for_them(tmp_path, hub, open_task):
    hub.datasets["a/b"]["videos.tar"] = tarred({"v/1.mp4": b"one"})
    assert "rows 0 1 2" in open_task(VIDEO)
    assert (tmp_path / "home" / "clips" / "v" / "1.mp4").read_bytes() == b"one"


def test_a_cut_connection_is_resumed_where_it_broke(tmp_path, hub, open_task):
    clip = os.urandom(24 << 20)  # the client keeps what came in pieces of 10 MB
    hub.datasets["a/b"]["videos.tar"] = tarred({"1.mp4": clip})
    hub.cut_after["videos.tar"] = [15 << 20]
    assert "rows 0 1 2" in open_task(VIDEO)
    assert (tmp_path / "home" / "clips" / "1.mp4").read_bytes() == clip
    first, second = hub.ranges("videos.tar")
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 15 << 20


def test_a_server_that_recovers_is_waited_for(tmp_path, hub, open_task):
    hub.datasets["a/b"]["videos.tar"] = tarred({"1.mp4": b"one"})
    hub.cut_after["videos.tar"] = [0]
    assert "rows 0 1 2" in open_task(VIDEO)
    assert (tmp_path / "home" / "clips" / "1.mp4").exists()


def test_a_failed_download_says_why_and_leaves_no_folder(tmp_path, hub, open_task):
    hub.datasets["a/b"]["videos.tar"] = tarred({"1.mp4": b"one"})
    hub.broken["videos.tar"] = 1000
    text = open_task(VIDEO)
    assert "DatasetError" in text
    assert "503" in text
    assert not (tmp_path / "home" / "clips").exists()


def test_without_archives_the_folder_can_be_a_link_to_the_snapshot(tmp_path, hub, open_task):
    hub.datasets["a/b"]["1.mp4"] = b"one"
    assert "rows 0 1 2" in open_task("{video: true, cache_dir: clips, create_link: true}")
    assert (tmp_path / "home" / "clips").is_symlink()
    assert (tmp_path / "home" / "clips" / "1.mp4").read_bytes() == b"one"
