"""Readers in a process of their own: the same frames, and no hang or crash that is not an error naming the video."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from pytest_lmms.errors import MediaError
from pytest_lmms.media import reader_process
from pytest_lmms.media.sampling import Sampling
from pytest_lmms.media.video import open_video
from pytest_lmms.records import MediaRef
from tests.made_videos import decoded, make_video

LONG_SECONDS = 120


@pytest.fixture(autouse=True)
def _no_process_is_left():
    yield
    reader_process._end_all()
    assert not reader_process._idle


def read(source, *, module="pytest_lmms.media._pyav", limit_seconds=LONG_SECONDS, max_side_px=None, num_frames=5):
    sampling = Sampling(num_frames=num_frames)
    where = source if isinstance(source, str) else "memory"
    return reader_process.read(
        module, source, sampling, where=where, threads=2, max_side_px=max_side_px, limit_seconds=limit_seconds
    )


def test_frames_are_those_of_a_reader_in_this_process_and_the_process_is_kept(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    whole = decoded(path)
    found = read(path)
    (process,) = reader_process._idle
    assert (found.frames == whole[found.indices]).all()
    assert found.total == len(whole)
    with open(path, "rb") as file:
        assert (read(file).frames == found.frames).all()
        assert read(file.name, max_side_px=32).frames.shape == (5, 24, 32, 3)
    assert reader_process._idle == [process]


def test_an_error_of_the_reader_arrives_as_it_is_and_the_process_is_kept(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(MediaError, match="Invalid data") as caught:
        read(str(tmp_path / "a.mp4"))
    assert str(tmp_path / "a.mp4") in str(caught.value)
    assert len(reader_process._idle) == 1


def test_a_reader_that_does_not_come_back_is_ended_and_the_next_video_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")  # nobody writes: opening it takes for ever
    path = make_video(tmp_path / "a.mp4")
    read(path)
    with pytest.raises(MediaError, match=r"it took longer than 1 s(.|\n)*LMMS_VIDEO_DECODE_SECONDS") as caught:
        read(str(tmp_path / "pipe.mp4"), limit_seconds=1)
    assert str(tmp_path / "pipe.mp4") in str(caught.value)
    assert len(read(path)) == 5


def test_a_reader_that_ends_its_process_is_an_error_that_names_the_video(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    read(make_video(tmp_path / "a.mp4"))
    (process,) = reader_process._idle

    def end_it():
        while reader_process._idle:  # until it is at work
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGABRT)

    killer = threading.Thread(target=end_it)
    killer.start()
    with pytest.raises(MediaError, match="its process ended with -6") as caught:
        read(str(tmp_path / "pipe.mp4"))
    killer.join()
    assert str(tmp_path / "pipe.mp4") in str(caught.value)


def test_videos_are_read_side_by_side_each_in_a_process(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    whole, found = decoded(path), {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: read(path, num_frames=n)})) for n in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, frames in found.items():
        assert len(frames) == number
        assert (frames.frames == whole[frames.indices]).all()


def test_settings_of_this_process_are_those_of_the_other(monkeypatch):
    monkeypatch.setenv("LMMS_VIDEO_DALI_DEVICE", "gpu")
    first = read("x", module="tests.media.settings_reader")
    monkeypatch.setenv("LMMS_VIDEO_DALI_DEVICE", "cpu")
    assert [chr(c) for c in first.frames.ravel()] == list("gpu")
    assert [chr(c) for c in read("x", module="tests.media.settings_reader").frames.ravel()] == list("cpu")


def test_decord_gives_the_frames_that_pyav_gives(tmp_path):
    path = make_video(tmp_path / "a.mp4", num_frames=50)
    with open(path, "rb") as file:
        data = file.read()
    for ref in (MediaRef(kind="video", path=path), MediaRef(kind="video", data=data)):
        found = open_video(ref, num_frames=7, backend="decord", leaves_no_trace=True)
        ours = open_video(ref, num_frames=7, backend="pyav", leaves_no_trace=True)
        assert (found.indices == ours.indices).all()
        assert np.abs(found.frames.astype(int) - ours.frames).max() <= 4
