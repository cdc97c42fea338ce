"""Media archives of a dataset: unpacked once, where task code looks, complete or not at all."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_lmms.errors import DatasetError
from pytest_lmms.tasks import hub, snapshots
from tests.tasks.test_archives import tarred, zipped


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """`fetch(**options)`: bring the media of a dataset in the folder `repo`; gives the folder `clips`."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    (tmp_path / "repo").mkdir()

    def fetch(**options):
        options = {"video": True, "cache_dir": "clips"} | options
        source = str(tmp_path / "repo")
        snapshots.fetch_media(
            hub.Choice(task="toy", where="t.yaml:1", source=source, name=None, split="test", kwargs={}, options=options)
        )
        return tmp_path / "home" / "clips"

    return fetch


def test_archives_are_unpacked_below_hf_home(tmp_path, fetch):
    (tmp_path / "repo" / "a.zip").write_bytes(zipped(("v/1.mp4", b"1")))
    assert (fetch() / "v" / "1.mp4").read_bytes() == b"1"


def test_cache_dir_may_name_a_variable_or_be_absolute(tmp_path, fetch, monkeypatch):
    monkeypatch.setenv("MEDIA", str(tmp_path / "media"))
    (tmp_path / "repo" / "a.zip").write_bytes(zipped(("1.mp4", b"1")))
    fetch(cache_dir="$MEDIA/clips")
    assert (tmp_path / "media" / "clips" / "1.mp4").exists()


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path, fetch):
    (tmp_path / "home" / "clips").mkdir(parents=True)
    (tmp_path / "repo" / "a.zip").write_bytes(zipped(("1.mp4", b"1")))
    assert not list(fetch().iterdir())


def test_force_unzip_replaces_files_and_removes_none(tmp_path, fetch):
    folder = tmp_path / "home" / "clips"
    (folder / "v").mkdir(parents=True)
    (folder / "v" / "1.mp4").write_bytes(b"old")
    (folder / "v" / "mine.mp4").write_bytes(b"mine")
    (tmp_path / "repo" / "a.zip").write_bytes(zipped(("v/1.mp4", b"new"), ("w/2.mp4", b"2")))
    fetch(force_unzip=True)
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert files == {"v/1.mp4": b"new", "v/mine.mp4": b"mine", "w/2.mp4": b"2"}


def test_an_interrupted_unpacking_is_begun_again(tmp_path, fetch):
    left = tmp_path / "home" / "clips.unpacking"
    left.mkdir(parents=True)
    (left / "half.mp4").write_bytes(b"ha")
    (tmp_path / "repo" / "a.zip").write_bytes(zipped(("1.mp4", b"1")))
    assert [p.name for p in fetch().iterdir()] == ["1.mp4"]
    assert not left.exists()


def test_a_damaged_archive_leaves_no_folder(tmp_path, fetch):
    (tmp_path / "repo" / "a.tar").write_bytes(tarred(("1.mp4", b"1")))
    (tmp_path / "repo" / "b.tar").write_bytes(tarred(("2.mp4", b"x" * 50_000))[:20_000])
    with pytest.raises(DatasetError, match=r"b\.tar"):
        fetch()
    assert not [p.name for p in (tmp_path / "home").iterdir() if "clips" in p.name and not p.name.startswith(".")]


@pytest.mark.parametrize("options", [{}, {"force_unzip": True}])
def test_two_at_once_unpack_once(tmp_path, fetch, monkeypatch, options):
    (tmp_path / "repo" / "a.zip").write_bytes(zipped(("1.mp4", b"1")))
    calls = []

    def slow(archives, folder, real=snapshots.unpack):
        calls.append(folder)
        time.sleep(0.3)
        real(archives, folder)

    monkeypatch.setattr(snapshots, "unpack", slow)
    threads = [threading.Thread(target=fetch, kwargs=options) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert (tmp_path / "home" / "clips" / "1.mp4").read_bytes() == b"1"


def test_a_link_follows_the_snapshot(tmp_path, fetch):
    link = tmp_path / "home" / "clips"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "gone")
    (tmp_path / "repo" / "1.mp4").write_bytes(b"1")
    fetch(create_link=True)
    assert (link / "1.mp4").read_bytes() == b"1"
    fetch(create_link=True)
    assert (link / "1.mp4").read_bytes() == b"1"
