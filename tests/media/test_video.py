"""Videos: the frames of a decoder that runs from the first to the last, whatever the container, codec or backend."""

from __future__ import annotations

import dataclasses
import io
import threading
from pathlib import Path

import numpy as np
import pytest

from pytest_lmms.errors import MediaError, UsageError
from pytest_lmms.media import _packets, _pyav, video
from pytest_lmms.media.frames import shrinker
from pytest_lmms.media.video import open_video, read_video, read_video_pyav
from pytest_lmms.records import MediaRef
from tests.made_videos import decoded, make_video, picture

OPEN_GROUPS = {"x264-params": "open-gop=1", "bf": "3"}
MADE = {
    "plain.mp4": {},
    "sound.mp4": {"sound": True},
    "long_group.mp4": {"group": 250},
    "no_reordering.mp4": {"options": {"bf": "0"}},
    "open_groups.mp4": {"options": OPEN_GROUPS, "group": 15},
    "hevc_open_groups.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=error:keyint=15:open-gop=1"}},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "varying_rate.mp4": {"times": [n + n // 7 * 3 for n in range(60)]},
    "plain.mkv": {},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "auto-alt-ref": "1", "lag-in-frames": "10"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "keyint=15"}},
    "no_times.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "programme.ts": {},
    "elementary.h264": {},
    "one_frame.mp4": {"num_frames": 1},
}
"""Containers with and without an index, with and without frame counts and time stamps, codecs with and without
pictures that are shown in another order than they are decoded in."""


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A made video's path by its name; each is made once."""
    folder = tmp_path_factory.mktemp("videos")

    def path(name: str) -> str:
        file = folder / name
        return str(file) if file.exists() else make_video(file, **MADE[name])

    return path


@pytest.fixture(autouse=True)
def _decode_anew(monkeypatch):
    for name in ("LMMS_VIDEO_DECODE_BACKEND", "LMMS_VIDEO_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LMMS_VIDEO_CACHE_MB", "0")


def at(path: str | Path, **part) -> MediaRef:
    return MediaRef(kind="video", path=str(path), **part)


# --- the same pixels as a pass over the whole file -----------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("threads", [1, 4])
def test_frames_are_those_of_a_decoder_that_runs_from_the_first(made, name, threads, monkeypatch):
    monkeypatch.setenv("LMMS_VIDEO_PYAV_THREADS", str(threads))
    whole = decoded(made(name))
    for number in (1, 2, 7, 31, None):
        found = open_video(at(made(name)), num_frames=number)
        assert found.total == len(whole)
        assert len(found) == min(number or len(whole), len(whole))
        assert found.num_replaced == 0
        assert (found.frames == whole[found.indices]).all()


@pytest.mark.parametrize("name", sorted(MADE.keys() - {"no_times.avi", "elementary.h264"}))
@pytest.mark.parametrize("threads", [1, 4])
def test_what_the_plan_names_is_enough_where_packets_say_when_they_are_shown(made, name, threads, monkeypatch):
    monkeypatch.setenv("LMMS_VIDEO_PYAV_THREADS", str(threads))
    monkeypatch.setattr(_pyav._Reading, "_all_frames", lambda *_: pytest.fail("decoded the whole file"))
    for number in (3, 20):
        assert len(open_video(at(made(name)), num_frames=number)) == min(number, MADE[name].get("num_frames", 60))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_all_frames_of_one_group_go_to_their_places_whatever_thread_puts_them_there(tmp_path, threads, monkeypatch):
    monkeypatch.setenv("LMMS_VIDEO_PYAV_THREADS", str(threads))
    path = make_video(tmp_path / "a.mp4", num_frames=90, group=300)
    found = open_video(at(path), num_frames=None, max_side_px=40)
    shape = shrinker(40)
    assert (found.frames == np.stack([shape(frame) for frame in decoded(path)])).all()
    assert (found.timestamps_seconds == np.arange(90) / 25).all()


@pytest.mark.parametrize("name", ["plain.mkv", "programme.ts", "vp9.webm", "fragments.mp4"])
def test_packets_too_many_to_keep_are_read_again(made, name, monkeypatch):
    monkeypatch.setattr(_packets, "MAX_HELD_BYTES", 1000)
    whole = decoded(made(name))
    for number in (1, 5, 40):
        found = open_video(at(made(name)), num_frames=number)
        assert (found.frames == whole[found.indices]).all()


def test_packets_are_read_ahead_a_bounded_amount(made, monkeypatch):
    monkeypatch.setattr(_pyav, "MAX_BATCH_BYTES", 1)
    whole = decoded(made("plain.mp4"))
    assert (open_video(at(made("plain.mp4")), num_frames=None).frames == whole).all()


def test_few_frames_of_an_indexed_file_are_few_packets(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", num_frames=120, options={"x264-params": "scenecut=0"})
    read = []
    whole_read = _packets.IndexedPackets.read
    monkeypatch.setattr(
        _packets.IndexedPackets, "read", lambda self, a, b: read.append((a, b)) or whole_read(self, a, b)
    )
    open_video(at(path), num_frames=3)
    assert read == [(0, 12), (48, 60), (108, 120)]


def test_bytes_and_an_open_file_are_read_as_a_path_is(made):
    for name in ("plain.mp4", "vp9.webm"):
        path = made(name)
        frames = open_video(at(path)).frames
        data = Path(path).read_bytes()
        assert (open_video(MediaRef(kind="video", data=data)).frames == frames).all()
        assert (open_video(MediaRef(kind="video", content=io.BytesIO(data))).frames == frames).all()


def test_the_extension_does_not_matter(made, tmp_path):
    path = tmp_path / "a.webm"
    path.write_bytes(Path(made("plain.mp4")).read_bytes())
    assert (open_video(at(path)).frames == open_video(at(made("plain.mp4"))).frames).all()


# --- what comes with the frames ------------------------------------------------------------------------------------


def test_times_are_those_at_which_frames_are_shown(made):
    found = open_video(at(made("plain.mp4")), num_frames=4)
    assert found.indices.tolist() == [0, 19, 39, 59]
    assert found.timestamps_seconds == pytest.approx([0, 19 / 25, 39 / 25, 59 / 25])
    assert (found.fps, found.duration_seconds, found.total) == (25, pytest.approx(2.4), 60)
    varying = open_video(at(made("varying_rate.mp4")), num_frames=None)
    assert varying.timestamps_seconds == pytest.approx([(n + n // 7 * 3) / 25 for n in range(60)])


def test_a_turned_video_is_upright(tmp_path):
    for degrees, turns in ((90, 1), (180, 2), (-90, 3)):
        path = make_video(tmp_path / f"turned{degrees}.mp4", num_frames=30, rotation=degrees)
        whole = decoded(path)
        found = open_video(at(path), num_frames=5)
        assert (found.frames == np.rot90(whole[found.indices], turns, axes=(1, 2))).all()


def test_frames_are_made_smaller_in_proportion(made):
    frames = open_video(at(made("plain.mp4")), max_side_px=32).frames
    assert frames.shape == (8, 24, 32, 3)
    assert open_video(at(made("plain.mp4")), max_side_px=640).frames.shape == (8, 48, 64, 3)


def test_a_part_of_a_video_is_looked_at_alone(made):
    found = open_video(at(made("plain.mp4"), start_seconds=1.0, end_seconds=2.0), num_frames=3)
    assert found.indices.tolist() == [25, 37, 50]
    assert found.timestamps_seconds == pytest.approx([1.0, 37 / 25, 2.0])


def test_frames_already_decoded_are_sampled_in_the_same_way():
    content = np.stack([picture(n) for n in range(10)])
    found = open_video(MediaRef(kind="video", content=content), num_frames=3)
    assert found.indices.tolist() == [0, 4, 9]
    assert (found.frames == content[[0, 4, 9]]).all()
    with pytest.raises(MediaError, match=r"an array of float64 \(2, 2\) is no video"):
        open_video(MediaRef(kind="video", content=np.zeros((2, 2))))


# --- lmms-eval's function ------------------------------------------------------------------------------------------


def test_read_video_takes_what_lmms_eval_takes(made):
    path = made("plain.mp4")
    whole = decoded(path)
    assert (read_video(path) == whole[[0, 8, 16, 25, 33, 42, 50, 59]]).all()
    assert (read_video((path, "other.mp4"), num_frm=2) == whole[[0, 59]]).all()
    assert (read_video(Path(path), num_frm=99, fps=1.25) == whole[[0, 29, 59]][:3]).all()
    assert (read_video(path, num_frm=1, force_include_last_frame=True) == whole[[59]]).all()
    assert read_video(path).flags.writeable
    assert read_video_pyav is read_video
    with pytest.raises(UsageError, match="rgb24"):
        read_video(path, format="gray")


# --- backends ------------------------------------------------------------------------------------------------------

PARITY = ["plain.mp4", "open_groups.mp4", "varying_rate.mp4", "plain.mkv", "vp9.webm", "one_frame.mp4"]


@pytest.mark.parametrize("name", PARITY)
def test_torchcodec_gives_the_same_frames_times_and_pixels(made, name):
    for sampling in ({"num_frames": 7}, {"num_frames": 99, "fps": 4.0}, {"num_frames": 3, "include_last": True}):
        ours = open_video(at(made(name), start_seconds=0.0), **sampling)
        theirs = open_video(at(made(name), start_seconds=0.0), backend="torchcodec", **sampling)
        assert (ours.indices == theirs.indices).all()
        assert ours.timestamps_seconds == pytest.approx(theirs.timestamps_seconds, abs=1e-3)
        assert (ours.fps, ours.total) == (theirs.fps, theirs.total)
        assert (ours.frames == theirs.frames).all()


def test_the_environment_chooses_the_backend(made, monkeypatch):
    monkeypatch.setenv("LMMS_VIDEO_DECODE_BACKEND", "auto")
    assert len(open_video(at(made("plain.mp4")))) == 8
    monkeypatch.setenv("LMMS_VIDEO_DECODE_BACKEND", "torchcodek")
    with pytest.raises(UsageError, match=r"LMMS_VIDEO_DECODE_BACKEND: .*\n  expected: .*\n  did you mean: torchcodec"):
        open_video(at(made("plain.mp4")))


def test_a_backend_that_is_not_installed_says_what_to_install(made):
    with pytest.raises(UsageError, match=r"backend dali cannot be imported(.|\n)*pip install nvidia-dali"):
        open_video(at(made("plain.mp4")), backend="dali")


# --- decoding once -------------------------------------------------------------------------------------------------


def test_documents_in_flight_share_one_decode(made, monkeypatch):
    monkeypatch.setenv("LMMS_VIDEO_CACHE_MB", "64")
    video._cache_of.cache_clear()
    path = made("plain.mp4")
    found = []
    threads = [threading.Thread(target=lambda: found.append(open_video(at(path)))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({id(f) for f in found}) == 1
    assert not found[0].frames.flags.writeable
    copy = MediaRef(kind="video", data=Path(path).read_bytes())
    assert open_video(copy).frames is found[0].frames, "the same content, though not the same file"
    assert open_video(at(path), num_frames=3) is not found[0]
    assert open_video(at(path, start_seconds=1.0)) is not found[0]
    assert video._cache().num_made == 3


def test_frames_can_be_kept_in_a_folder(made, monkeypatch, tmp_path):
    monkeypatch.setenv("LMMS_VIDEO_CACHE_DIR", str(tmp_path / "frames"))
    first = open_video(at(made("plain.mp4")))
    video._cache_of.cache_clear()
    assert dataclasses.replace(open_video(at(made("plain.mp4"))), frames=0, timestamps_seconds=0, indices=0) == (
        dataclasses.replace(first, frames=0, timestamps_seconds=0, indices=0)
    )
    assert video._cache().num_made == 0
