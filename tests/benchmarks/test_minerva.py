"""MINERVA's videos: of the local folder, then of a Lance dataset on the Hub, then an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lmms.media.video import open_video
from pytest_lmms.tasks.load import load_task
from tests.hub_server import Hub, running
from tests.made_videos import decoded, make_video

_lance = pytest.importorskip("pytest_lmms.media._lance", exc_type=ImportError)

TASK = Path(__file__).parents[2] / "benchmarks" / "minerva" / "minerva.yaml"
COLUMNS = {"video_id": "string", "video_ext": "string", "video_size_bytes": "int64", "video_blob": "blob"}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub with a dataset that holds the videos `both` and `remote`; the folder, not yet named, holds `both`."""
    for name in ("VIDEO_DIR", "LANCE_VIDEO_URI", "LANCE_VIDEO_ID_COLUMN", "LANCE_VIDEO_BLOB_COLUMN", "LANCE_CACHE_DIR"):
        monkeypatch.delenv(f"MINERVA_{name}", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LMMS_VIDEO_CACHE_MB", "0")
    (tmp_path / "videos").mkdir()
    make_video(tmp_path / "videos" / "both.mp4", num_frames=10)
    data = Path(make_video(tmp_path / "remote.mp4", num_frames=20)).read_bytes()
    rows = [
        {"video_id": name, "video_ext": "mp4", "video_size_bytes": len(data), "video_blob": data}
        for name in ("both", "remote")
    ]
    _lance.forget()
    dataset = tmp_path / "train.lance"
    _lance.write_table(str(dataset), COLUMNS, rows)
    files = {f"data/{p.relative_to(tmp_path)}": p.read_bytes() for p in dataset.rglob("*") if p.is_file()}
    with running(Hub(datasets={"org/minerva": files})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        yield served
    _lance.forget()


def visual(video):
    [ref] = load_task(TASK).spec.doc_to_visual({"video_id": video})
    return ref


def test_the_folder_then_the_dataset_on_the_hub_then_the_address(hub, tmp_path, monkeypatch):
    assert visual("both").url == "https://www.youtube.com/watch?v=both"
    monkeypatch.setenv("MINERVA_LANCE_VIDEO_URI", "hf://datasets/org/minerva/data/train.lance")
    assert open_video(visual("both"), num_frames=4).total == 20
    monkeypatch.setenv("MINERVA_VIDEO_DIR", str(tmp_path / "videos"))
    assert open_video(visual("both"), num_frames=4).total == 10
    found = open_video(visual("remote"), num_frames=4)
    assert (found.frames == decoded(str(tmp_path / "remote.mp4"))[found.indices]).all()
    assert not list((tmp_path / "home").rglob("*.mp4")), "a blob is decoded where it lies"
