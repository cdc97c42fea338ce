"""Frames are decoded once for everyone, within bounds."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from pytest_lmms.errors import MediaError
from pytest_lmms.media.framecache import FrameCache
from pytest_lmms.media.frames import VideoFrames


def frames(number=1, *, fps=25.0):
    return VideoFrames(
        frames=np.full((number, 10, 10, 3), number, np.uint8),
        timestamps_seconds=np.arange(number) / 2,
        indices=np.arange(number),
        fps=fps,
        duration_seconds=None,
        total=9,
    )


def test_the_second_to_ask_gets_what_the_first_had_made():
    cache = FrameCache(1000)
    first = cache.get("a", frames)
    assert cache.get("a", lambda: pytest.fail("made again")) is first
    assert cache.num_made == 1


def test_whoever_asks_while_frames_are_made_waits_for_them():
    cache, started, go = FrameCache(0), threading.Event(), threading.Event()

    def make():
        started.set()
        assert go.wait(10)
        return frames()

    found = []
    threads = [threading.Thread(target=lambda: found.append(cache.get("a", make))) for _ in range(5)]
    threads[0].start()
    assert started.wait(10)
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.05)
    go.set()
    for thread in threads:
        thread.join(10)
    assert len(found) == 5
    assert len({id(f) for f in found}) == 1
    assert cache.num_made == 1


def test_frames_of_ones_own_are_copied_only_where_others_have_them_too():
    kept, made = FrameCache(1000), frames()
    own = kept.get("a", lambda: made, is_own=True)
    own.frames[:] = 7
    assert kept.get("a", pytest.fail).frames.max() != 7
    assert FrameCache(0).get("a", lambda: made, is_own=True).frames is made.frames, "nobody else has them"


def test_frames_of_ones_own_are_a_copy_while_somebody_waits_for_them():
    cache, started, go, made = FrameCache(0), threading.Event(), threading.Event(), frames()

    def make():
        started.set()
        assert go.wait(10)
        return made

    found = []
    first = threading.Thread(target=lambda: found.append(cache.get("a", make, is_own=True)))
    first.start()
    assert started.wait(10)
    second = threading.Thread(target=lambda: found.append(cache.get("a", pytest.fail)))
    second.start()
    while not cache._waited_for:
        time.sleep(0.001)
    go.set()
    first.join(10)
    second.join(10)
    assert len({id(f.frames) for f in found}) == 2
    assert sum(f.frames.flags.writeable for f in found) == 1


def test_an_error_reaches_everyone_who_waits_and_is_not_kept():
    cache, asked = FrameCache(1000), threading.Barrier(2)
    errors = []

    def fail():
        asked.wait(10)
        time.sleep(0.05)
        raise MediaError("damaged")

    def ask(make):
        try:
            cache.get("a", make)
        except MediaError as e:
            errors.append(str(e))

    thread = threading.Thread(target=ask, args=(fail,))
    thread.start()
    asked.wait(10)
    ask(lambda: pytest.fail("made at the same time"))
    thread.join(10)
    assert errors == ["damaged", "damaged"]
    assert len(cache.get("a", frames)) == 1


def test_what_was_not_used_for_longest_goes_first():
    cache = FrameCache(1000)
    for key in "abc":
        cache.get(key, frames)
    cache.get("a", frames)
    cache.get("d", frames)
    assert cache.num_bytes == 900
    made = cache.num_made
    for key in "acd":
        cache.get(key, frames)
    assert cache.num_made == made
    cache.get("b", frames)
    assert cache.num_made == made + 1


def test_frames_larger_than_the_cache_push_nothing_out():
    cache = FrameCache(1000)
    cache.get("a", frames)
    assert len(cache.get("large", lambda: frames(4))) == 4
    assert cache.num_bytes == 300
    cache.get("a", lambda: pytest.fail("pushed out"))


def test_a_folder_gives_another_process_the_same_frames(tmp_path):
    made = FrameCache(0, folder=tmp_path, max_folder_bytes=10**6).get("a", lambda: frames(2, fps=None))
    other = FrameCache(0, folder=tmp_path, max_folder_bytes=10**6)
    found = other.get("a", lambda: pytest.fail("made again"))
    assert (found.frames == made.frames).all()
    assert (found.timestamps_seconds == made.timestamps_seconds).all()
    assert (found.indices == made.indices).all()
    assert (found.fps, found.duration_seconds, found.total) == (None, None, 9)
    assert not found.frames.flags.writeable


def test_a_damaged_file_in_the_folder_is_made_again(tmp_path):
    FrameCache(0, folder=tmp_path, max_folder_bytes=10**6).get("a", frames)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    cache = FrameCache(0, folder=tmp_path, max_folder_bytes=10**6)
    assert len(cache.get("a", frames)) == 1
    assert cache.num_made == 1
    assert len(FrameCache(0, folder=tmp_path, max_folder_bytes=10**6).get("a", pytest.fail)) == 1


def test_the_folder_keeps_within_its_bound(tmp_path):
    cache = FrameCache(0, folder=tmp_path, max_folder_bytes=5000)
    for key in "abcdef":
        cache.get(key, frames)
    assert sum(p.stat().st_size for p in tmp_path.glob("*.npz")) <= 5000
    cache.get("f", lambda: pytest.fail("the newest went first"))


ONE_OF_TWO = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_framecache import frames
from pytest_lmms.media.framecache import FrameCache

def make():
    time.sleep(0.3)
    return frames()

cache = FrameCache(0, folder=Path({folder!r}), max_folder_bytes=10**6)
cache.get("a", make)
print(cache.num_made)
"""


def test_two_processes_at_the_same_time_decode_once(tmp_path, request):
    code = ONE_OF_TWO.format(tests=str(request.path.parent), folder=str(tmp_path))
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sum(int(p.communicate(timeout=60)[0]) for p in running) == 1
