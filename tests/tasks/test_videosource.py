"""A video comes from the folder, then from the Lance dataset, and from its address only when neither is named."""

from __future__ import annotations

import io

import numpy as np
import pytest

from pytest_lmms.errors import MediaError
from pytest_lmms.media.video import open_video
from pytest_lmms.tasks.mediafiles import MissingMediaError
from pytest_lmms.tasks.videosource import find_video

_lance = pytest.importorskip("pytest_lmms.media._lance", exc_type=ImportError)


def video(level):
    """Eight frames of one grey."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        for _ in range(8):
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8))):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return file.getvalue()


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A folder with `a`, a dataset with `a` and `b`; neither is named yet."""
    for name in ("LANCE_VIDEO_URI", "LANCE_VIDEO_ID_COLUMN", "LANCE_VIDEO_BLOB_COLUMN", "LANCE_CACHE_DIR"):
        monkeypatch.delenv(f"MY_{name}", raising=False)
    monkeypatch.delenv("MY_VIDEO_DIR", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.webm").write_bytes(video(50))
    _lance.forget()
    rows = [{"name": "a", "bytes": video(100)}, {"name": "b", "bytes": video(200)}]
    _lance.write_table(str(tmp_path / "x.lance"), {"name": "string", "bytes": "blob"}, rows)

    def name(*, folder=False, dataset=False):
        if folder:
            monkeypatch.setenv("MY_VIDEO_DIR", str(tmp_path / "videos"))
        if dataset:
            monkeypatch.setenv("MY_LANCE_VIDEO_URI", str(tmp_path / "x.lance"))
            monkeypatch.setenv("MY_LANCE_VIDEO_ID_COLUMN", "name")
            monkeypatch.setenv("MY_LANCE_VIDEO_BLOB_COLUMN", "bytes")
            monkeypatch.setenv("MY_LANCE_CACHE_DIR", str(tmp_path / "cache"))

    return name


def find(video):
    return find_video(video, prefix="MY", cache_dir="my", address=f"http://127.0.0.1/{video}", beside="/none/utils.py")


def level(ref, **kwargs):
    return open_video(ref, num_frames=2, **kwargs).frames.mean()


def test_the_folder_comes_before_the_dataset(places):
    places(folder=True, dataset=True)
    assert level(find("a")) == pytest.approx(50, abs=3)
    assert level(find("b")) == pytest.approx(200, abs=3)


def test_the_dataset_is_decoded_where_it_lies(places, tmp_path):
    places(dataset=True)
    assert level(find("a")) == pytest.approx(100, abs=3)
    assert not (tmp_path / "cache").exists()


def test_an_address_is_given_when_nothing_is_named_and_says_how_to_have_a_file(places):
    ref = find("a")
    assert ref.url == "http://127.0.0.1/a"
    with pytest.raises(MediaError, match=r"only a web address(.|\n)*MY_VIDEO_DIR(.|\n)*MY_LANCE_VIDEO_URI"):
        open_video(ref)


@pytest.mark.parametrize("named", [{"folder": True}, {"dataset": True}, {"folder": True, "dataset": True}])
def test_what_is_in_no_place_that_was_named_is_an_error(places, named):
    places(**named)
    with pytest.raises(MissingMediaError, match=r"no video 'c'(.|\n)*MY_VIDEO_DIR(.|\n)*MY_LANCE_VIDEO_URI"):
        find("c")
