"""How many threads decode a video."""

from __future__ import annotations

import contextlib

import pytest

from pytest_lmms.errors import UsageError
from pytest_lmms.media import decodethreads
from pytest_lmms.media.decodethreads import num_threads, taken


@pytest.fixture(autouse=True)
def unsaid(monkeypatch):
    for name in ("PYAV", "TORCHCODEC", "DECORD", "DALI"):
        monkeypatch.delenv(f"LMMS_VIDEO_{name}_THREADS", raising=False)


def test_threads_are_eight_at_most_the_cores_unless_the_environment_says(monkeypatch):
    monkeypatch.setattr(decodethreads, "num_cores", lambda: 64)
    assert [num_threads(b) for b in ("pyav", "torchcodec", "decord", "dali")] == [8, 8, 2, 2]
    monkeypatch.setattr(decodethreads, "num_cores", lambda: 3)
    assert num_threads("torchcodec") == 3
    monkeypatch.setenv("LMMS_VIDEO_TORCHCODEC_THREADS", "16")
    assert num_threads("torchcodec") == 16
    monkeypatch.setenv("LMMS_VIDEO_TORCHCODEC_THREADS", "many")
    with pytest.raises(UsageError, match="LMMS_VIDEO_TORCHCODEC_THREADS"):
        num_threads("torchcodec")


def threads_of(backend, num_readings):
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(taken(backend)) for _ in range(num_readings)]


def test_videos_that_are_read_at_once_share_the_cores(monkeypatch):
    monkeypatch.setattr(decodethreads, "num_cores", lambda: 12)
    assert threads_of("pyav", 14) == [8, 6, 4, 3, 2, 2] + [1] * 8
    assert threads_of("pyav", 1) == [8]  # the others are done, whatever became of them
    with contextlib.suppress(KeyError), taken("pyav"):
        raise KeyError
    assert threads_of("pyav", 1) == [8]


def test_a_number_that_was_said_is_what_each_video_gets(monkeypatch):
    monkeypatch.setattr(decodethreads, "num_cores", lambda: 12)
    assert threads_of("torchcodec", 3) == [8, 8, 8]
    monkeypatch.setenv("LMMS_VIDEO_PYAV_THREADS", "5")
    assert threads_of("pyav", 3) == [5, 5, 5]
