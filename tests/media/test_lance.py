"""Media inside a Lance dataset: found by name, read where they lie, on this disk and on a Hub."""

from __future__ import annotations

import os
import threading

import pytest

from pytest_lmms.errors import MediaError, UsageError
from pytest_lmms.media.lance_blob import LanceBlob
from pytest_lmms.media.references import digest
from pytest_lmms.records import MediaRef
from tests.hub_server import Hub, running

_lance = pytest.importorskip("pytest_lmms.media._lance", exc_type=ImportError)

COLUMNS = {"video_id": "string", "video_ext": "string", "video_size_bytes": "int64", "video_blob": "blob"}
MEDIA = {f"v{i}": os.urandom(200_000) for i in range(12)} | {"it's": b"quoted"}


@pytest.fixture(autouse=True)
def afresh():
    _lance.forget()


def rows(media=MEDIA):
    return ({"video_id": n, "video_ext": "mp4", "video_size_bytes": len(d), "video_blob": d} for n, d in media.items())


@pytest.fixture(params=["2.1", "stable"])
def uri(request, tmp_path):
    path = str(tmp_path / "train.lance")
    _lance.write_table(path, COLUMNS, rows(), data_storage_version=request.param, max_rows_per_file=5)
    return path


def open_file(path):
    with open(path, "rb") as file:
        return file.read()


def blob(uri, key, **kwargs):
    return LanceBlob(uri=uri, key=key, **kwargs)


def test_bytes_are_found_by_name_and_read_in_ranges(uri):
    for key in ("v7", "it's", "v0"):
        assert blob(uri, key).read() == MEDIA[key]
    with blob(uri, "v3").open() as file:
        file.seek(1000)
        assert file.read(50) == MEDIA["v3"][1000:1050]
        assert file.seek(0, os.SEEK_END) == 200_000


def test_names_and_sizes_are_read_without_the_bytes_of_media(uri):
    table = blob(uri, "v1").table()
    assert table.column("video_size_bytes") == [len(data) for data in MEDIA.values()]
    for_names = table.bytes_read()
    assert for_names < 20_000 < sum(map(len, MEDIA.values())) / 100
    with table.open(3) as file:
        file.read(10)
    assert table.bytes_read() < 210_000  # one medium


def test_a_decoder_that_needs_a_path_gets_a_file_that_is_written_once(uri, tmp_path):
    one = blob(uri, "v5", cache_dir=str(tmp_path / "cache"))
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(one.file())) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(set(paths)) == 1
    assert paths[0].endswith("_v5.mp4")
    assert open_file(paths[0]) == MEDIA["v5"]
    assert [len(files) for _, _, files in os.walk(tmp_path / "cache")] == [0, 1]
    os.truncate(paths[0], 3)
    assert len(open_file(one.file())) == 3


def test_a_digest_names_the_write_and_the_row(uri, tmp_path):
    refs = [MediaRef(kind="video", content=blob(uri, key)) for key in ("v1", "v2", "v1")]
    first, second, again = map(digest, refs)
    assert first == again != second
    assert first.startswith("video/:lance:")
    _lance.forget()
    _lance.write_table(uri, COLUMNS, rows(), mode="overwrite")
    assert digest(refs[0]) != first


def test_what_is_wrong_is_named(uri, tmp_path):
    with pytest.raises(MediaError, match=r"train\.lance: no row named 'v99'"):
        blob(uri, "v99").open()
    assert not blob(uri, "v99").exists()
    with pytest.raises(MediaError, match="no column 'other'"):
        blob(uri, "v1", id_column="other").open()
    with pytest.raises(MediaError, match=r"nowhere\.lance: cannot be opened as a Lance dataset"):
        blob(str(tmp_path / "nowhere.lance"), "v1").open()
    (tmp_path / "text").write_text("no dataset")
    with pytest.raises(MediaError, match="cannot be opened as a Lance dataset"):
        blob(str(tmp_path / "text"), "v1").open()
    with pytest.raises(UsageError, match="already exists"):
        _lance.write_table(uri, COLUMNS, rows())
    _lance.write_table(uri, COLUMNS, rows({"v1": b"again", "empty": b""}), mode="append")
    _lance.forget()
    with pytest.raises(MediaError, match="several rows named 'v1'"):
        blob(uri, "v1").open()
    with pytest.raises(MediaError, match="has no bytes"):
        blob(uri, "empty").open()


def test_a_dataset_whose_files_are_damaged_is_an_error(uri):
    for folder, _, files in os.walk(os.path.join(uri, "data")):
        for name in files:
            os.truncate(os.path.join(folder, name), 40)
    with pytest.raises(MediaError, match="cannot"):
        blob(uri, "v1").read()


def test_what_stops_the_rows_is_what_is_raised(tmp_path):
    def failing():
        yield from rows({"a": b"x"})
        raise MediaError("the third video is damaged")

    with pytest.raises(MediaError, match="the third video"):
        _lance.write_table(str(tmp_path / "a.lance"), COLUMNS, failing())


def test_a_dataset_on_the_hub_is_read_in_ranges(uri, monkeypatch):
    prefix = os.path.dirname(uri)
    files = {}
    for folder, _, names in os.walk(uri):
        for name in names:
            path = os.path.join(folder, name)
            files["data/" + os.path.relpath(path, prefix)] = open_file(path)
    with running(Hub(datasets={"org/media": files})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        one = blob("hf://datasets/org/media/data/train.lance", "v7")
        assert one.read() == MEDIA["v7"]
        assert one.extension == "mp4"
        with pytest.raises(MediaError, match="no row named"):
            blob(one.uri, "none").open()
        with pytest.raises(MediaError, match="cannot be opened as a Lance dataset"):
            blob("hf://datasets/org/none/train.lance", "v7").open()
        del hub.datasets["org/media"]
        with pytest.raises(MediaError, match="cannot read"):
            blob(one.uri, "v2").read()
