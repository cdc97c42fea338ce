"""What cannot be read says so, with path and reason; what can be read in part is, and says how much was replaced."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np
import pytest

from pytest_lmms.errors import MediaError
from pytest_lmms.media.notes import collecting
from pytest_lmms.media.video import open_video
from pytest_lmms.media.videofile import refuse_shortened
from pytest_lmms.records import MediaRef
from tests.made_videos import decoded, make_video
from tests.media.sounds import encoded, sine

CLUSTER = bytes.fromhex("1f43b675")
FRAMES_BEGIN = (b"\xe7", b"\xa3", b"\xa0")
"""What is in a cluster: its time, and frames."""


@pytest.fixture(autouse=True)
def _decode_anew(monkeypatch):
    monkeypatch.setenv("LMMS_VIDEO_CACHE_MB", "0")


def at(path: str | Path) -> MediaRef:
    return MediaRef(kind="video", path=str(path))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp4", b"", r"the file is empty \(0 bytes\)"),
        ("text.mp4", b"Two cats on a sofa.\n" * 50, "Invalid data"),
        ("text.txt", b"Two cats on a sofa.\n" * 50, "cannot be read as a video"),
        ("noise.mkv", random.Random(0).randbytes(5000), "cannot be read as a video"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "cannot be read as a video"),
        ("list.ffconcat", b"ffconcat version 1.0\nfile /etc/passwd\n", "cannot be read as a video"),
    ],
)
def test_what_is_no_video_is_an_error_with_path_and_reason(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError, match=reason) as caught:
        open_video(at(path))
    assert str(path) in str(caught.value)


def test_a_missing_file_a_folder_and_an_address_are_errors(tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        open_video(at(tmp_path / "a.mp4"))
    with pytest.raises(MediaError, match="this is a folder"):
        open_video(at(tmp_path))
    with pytest.raises(MediaError, match="only a web address"):
        open_video(MediaRef(kind="video", url="http://localhost/a.mp4"))
    with pytest.raises(MediaError, match="empty"):
        open_video(MediaRef(kind="video", data=b""))


def test_sound_alone_is_no_video(tmp_path):
    path = str(tmp_path / "a.mp4")
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"holds no video(.|\n)*audio"):
        open_video(at(path))


def test_a_file_of_another_kind_is_named_as_such(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(encoded(sine()))
    with pytest.raises(MediaError, match=r"a\.mp4: .*none of the video containers"):
        open_video(at(str(path)))


def test_a_video_without_frames_is_an_error(tmp_path):
    whole = Path(make_video(tmp_path / "a.mkv", num_frames=2)).read_bytes()
    path = tmp_path / "b.mkv"
    path.write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75")])  # before its first cluster
    with pytest.raises(MediaError, match=r"no frames|cannot be read"):
        open_video(at(path))


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_file_that_was_cut_is_an_error_whether_its_index_was_lost_or_not(tmp_path, kept):
    for name, options in (("end.mp4", {}), ("start.mp4", {"movflags": "faststart"})):
        path = Path(make_video(tmp_path / name, container_options=options))
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
        with pytest.raises(MediaError, match=r"the file was cut|cannot be read as a video|no frames|does not know"):
            open_video(at(path))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_decode_that_fails_in_the_middle_goes_on_and_still_samples(tmp_path, name):
    path = Path(make_video(tmp_path / name, num_frames=120))
    whole = decoded(str(path))
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    start, stop = packets[40][0] + 16, packets[70][0] + packets[70][1]
    data[start:stop] = b"\xff" * (stop - start) if name != "a.ts" else bytes(stop - start)
    path.write_bytes(data)
    found = open_video(at(path), num_frames=12)
    assert len(found) == 12
    assert found.frames.shape[1:] == whole.shape[1:]
    assert found.timestamps_seconds[-1] == pytest.approx(119 / 25, abs=0.1)
    intact = [slot for slot, i in enumerate(found.indices) if i < 30]
    assert (found.frames[intact] == whole[found.indices[intact]]).all()


def test_frames_that_cannot_be_decoded_are_replaced_and_counted(tmp_path):
    path = Path(make_video(tmp_path / "a.avi", num_frames=50, codec="mpeg4", group=10))
    whole = decoded(str(path))
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in packets[-20:]:
        data[position + 8 : position + 8 + size] = bytes(size)
    path.write_bytes(data)
    with collecting() as flags:
        found = open_video(at(path), num_frames=10)
    assert len(found) == 10
    assert found.num_replaced > 0
    assert flags == [f"video_frames_replaced:{found.num_replaced}"]
    assert (found.frames[0] == whole[0]).all()


@pytest.mark.parametrize("kept", [0.4, 0.9])
@pytest.mark.parametrize("backend", ["pyav", "torchcodec"])
@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.avi"])
def test_a_file_shorter_than_its_header_says_is_an_error(tmp_path, name, backend, kept):
    codec = {"a.webm": "libvpx", "a.avi": "mpeg4"}.get(name, "libx264")
    whole = Path(make_video(tmp_path / name, codec=codec)).read_bytes()
    assert len(open_video(MediaRef(kind="video", data=whole))) == 8
    path = tmp_path / f"cut_{name}"
    path.write_bytes(whole[: int(len(whole) * kept)])
    for ref in (at(path), MediaRef(kind="video", data=path.read_bytes())):
        with pytest.raises(MediaError, match="it is truncated") as caught:
            open_video(ref, backend=backend)
    assert f"{len(whole):,} bytes" in str(caught.value)


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
def test_a_finished_matroska_file_cut_between_two_clusters_is_an_error(tmp_path, name):
    codec = "libvpx" if name == "a.webm" else "libx264"
    whole = Path(make_video(tmp_path / name, codec=codec, container_options={"cluster_time_limit": "300"})).read_bytes()
    starts = [n for n in range(len(whole)) if whole.startswith(CLUSTER, n)]
    assert len(starts) > 3
    for start in starts:
        with pytest.raises(MediaError, match=f"{start:,} of {len(whole):,} bytes"):
            open_video(MediaRef(kind="video", data=whole[:start]))


def test_a_matroska_file_written_to_a_pipe_has_no_length_and_is_read(tmp_path):
    path = make_video(tmp_path / "a.mkv", num_frames=30, container_options={"live": "1"})
    assert open_video(at(path), num_frames=30).num_replaced == 0


def with_clusters_of_unknown_length(data: bytes) -> bytes:
    """Browsers record like this: neither the segment nor its clusters say how long they are."""
    found, at_cluster = bytearray(data), data.find(CLUSTER)
    while at_cluster >= 0:
        first = data[at_cluster + 4]
        num_bytes = 9 - first.bit_length()
        found[at_cluster + 4 : at_cluster + 4 + num_bytes] = ((1 << 7 * num_bytes + 1) - 1).to_bytes(num_bytes, "big")
        at_cluster = data.find(CLUSTER, at_cluster + 4)
    return bytes(found)


FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


@pytest.mark.parametrize(
    ("name", "options", "recorded"),
    [
        ("a.mkv", {"live": "1"}, False),
        ("a.webm", {"live": "1"}, True),
        ("a.mp4", FRAGMENTS, False),
        ("dash.mp4", {"movflags": "dash+frag_keyframe"}, False),
    ],
)
def test_what_was_written_to_a_pipe_and_cut_is_an_error_wherever_it_was_cut(tmp_path, name, options, recorded):
    codec = "libvpx" if name == "a.webm" else "libx264"
    whole = Path(make_video(tmp_path / name, codec=codec, container_options=options)).read_bytes()
    if recorded:
        whole = with_clusters_of_unknown_length(whole)
    assert open_video(MediaRef(kind="video", data=whole), num_frames=60).num_replaced == 0
    unnoticed = []
    for length in range(len(whole) // 3, len(whole)):
        try:
            refuse_shortened(whole[:length], name)
        except MediaError:
            continue
        unnoticed.append(length)
    assert len(unnoticed) < (140 if recorded else 15)
    for length in unnoticed:  # where nothing is missing of what came until then
        following = whole[length : length + 8]
        assert following[4:] in (b"moof", b"sidx", b"mfra") or following.startswith((CLUSTER, *FRAMES_BEGIN))
    path = tmp_path / f"cut_{name}"
    path.write_bytes(whole[: unnoticed[-1] - 5])
    with pytest.raises(MediaError, match="it is truncated") as caught:
        open_video(at(path))
    assert str(path) in str(caught.value)


def test_bytes_behind_the_last_box_of_an_mp4_do_not_make_it_a_cut_one(tmp_path):
    whole = Path(make_video(tmp_path / "a.mp4")).read_bytes()
    assert len(open_video(MediaRef(kind="video", data=whole + b"\0\0\xff\xfffree1234"))) == 8


def test_torchcodec_leaves_transport_streams_to_pyav_and_the_record_says_so(tmp_path):
    pytest.importorskip("torchcodec", exc_type=(ImportError, RuntimeError))
    path = make_video(tmp_path / "a.ts")
    with collecting() as flags:
        found = open_video(at(path), num_frames=4, backend="torchcodec")
    assert flags == ["video_backend:pyav"]
    assert (found.frames == open_video(at(path), num_frames=4, backend="pyav").frames).all()
    with collecting() as flags:
        open_video(at(make_video(tmp_path / "a.mp4")), num_frames=4, backend="torchcodec")
    assert flags == []
