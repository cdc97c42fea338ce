"""Which frames: lmms-eval's rule, at least one, each once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lmms.errors import MediaError
from pytest_lmms.media.sampling import Sampling, frame_indices


def chosen(total, source_fps=25.0, **sampling):
    return frame_indices(total, source_fps, Sampling(**sampling)).tolist()


def test_frames_are_taken_evenly_from_the_first_to_the_last():
    assert chosen(100, num_frames=8) == [0, 14, 28, 42, 56, 70, 84, 99]
    assert chosen(100, num_frames=1) == [0]
    assert chosen(3, num_frames=8) == [0, 1, 2]


def test_frames_per_second_say_how_many_and_the_number_is_a_limit():
    assert chosen(100, 25.0, num_frames=99, fps=2) == [0, 14, 28, 42, 56, 70, 84, 99]
    assert chosen(100, 25.0, num_frames=4, fps=2) == [0, 33, 66, 99]
    assert chosen(100, 25.0, num_frames=None, fps=1000) == list(range(100))
    assert chosen(10, 25.0, num_frames=8, fps=1) == [0], "0.4 frames are one"


def test_without_a_limit_every_frame_is_taken():
    assert chosen(5, num_frames=None) == [0, 1, 2, 3, 4]


def test_a_rate_that_the_file_does_not_say_leaves_the_number():
    assert chosen(100, None, num_frames=3, fps=2, start_seconds=1.0) == [0, 49, 99]


def test_the_last_frame_can_be_asked_for():
    assert chosen(100, num_frames=1, include_last=True) == [99]
    assert chosen(100, num_frames=8, include_last=True) == [0, 14, 28, 42, 56, 70, 84, 99]


@given(st.integers(1, 5000), st.integers(1, 64))
@settings(deadline=None)
def test_taking_the_last_frame_changes_nothing_where_it_is_taken_anyway(total, number):
    with_last = chosen(total, num_frames=number, include_last=True)
    assert with_last[-1] == total - 1
    assert len(with_last) == min(total, number)
    if number > 1:
        assert with_last == chosen(total, num_frames=number)


def test_of_a_part_only_frames_within_its_limits_are_taken():
    assert chosen(100, 25.0, num_frames=3, start_seconds=1.0, end_seconds=2.0) == [25, 37, 50]
    assert chosen(100, 25.0, num_frames=3, start_seconds=3.0) == [75, 87, 99]
    assert chosen(100, 25.0, num_frames=3, end_seconds=1e9) == [0, 49, 99]
    assert chosen(100, 25.0, num_frames=3, start_seconds=1.01, end_seconds=1.02) == [26]
    assert chosen(100, 25.0, num_frames=9, fps=2, start_seconds=1.0, end_seconds=3.0) == [25, 41, 58, 75]


def test_a_part_behind_the_end_is_an_error():
    with pytest.raises(MediaError, match=r"begins at 4\.0 s\n  expected: before its end at 4\.00 s"):
        chosen(100, 25.0, start_seconds=4.0)


@pytest.mark.parametrize(
    "sampling",
    [
        {"num_frames": 0},
        {"fps": 0},
        {"fps": float("nan")},
        {"start_seconds": -1.0},
        {"start_seconds": float("nan")},
        {"start_seconds": 2.0, "end_seconds": 1.0},
        {"end_seconds": float("nan")},
    ],
)
def test_what_chooses_no_frame_is_refused(sampling):
    with pytest.raises(MediaError, match="expected"):
        Sampling(**sampling)


@given(
    st.integers(1, 10_000),
    st.one_of(st.none(), st.floats(0.5, 240)),
    st.one_of(st.none(), st.integers(1, 100)),
    st.one_of(st.none(), st.floats(0.01, 300)),
    st.booleans(),
)
def test_at_least_one_frame_each_once_in_order(total, source_fps, number, fps, last):
    indices = frame_indices(total, source_fps, Sampling(num_frames=number, fps=fps, include_last=last))
    assert indices.dtype == np.int64
    assert 1 <= len(indices) <= min(total, number or total)
    assert (np.diff(indices) > 0).all()
    assert indices[0] >= 0
    assert indices[-1] < total
