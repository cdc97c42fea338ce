"""Plans: every wanted frame in one segment, and no group decoded in which none is wanted."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lmms.media.decodeplan import CHEAP_GAP, MAX_REORDERING, Segment, plan, threads_each


def groups(size, total):
    return lambda position: (position // size * size, min(total, position // size * size + size))


def test_a_group_is_decoded_up_to_the_last_frame_wanted_in_it():
    (segment,) = plan([3, 40], groups(100, 1000), max_packets=1000)
    assert segment == Segment(0, 100, (3, 40))
    assert segment.needed == 41 + MAX_REORDERING


def test_groups_without_wanted_frames_are_left_out():
    assert [(s.start, s.stop) for s in plan([5, 505], groups(100, 1000), max_packets=1000)] == [(0, 100), (500, 600)]


def test_groups_that_touch_are_joined_where_little_is_decoded_for_nothing():
    near, far = 99 - CHEAP_GAP, 98 - CHEAP_GAP
    assert len(plan([near, 100], groups(100, 1000), max_packets=1000)) == 1
    assert len(plan([far, 100], groups(100, 1000), max_packets=1000)) == 2


def test_segments_do_not_grow_beyond_a_share():
    segments = plan(range(1000), groups(100, 1000), max_packets=250)
    assert [(s.start, s.stop) for s in segments] == [(0, 200), (200, 400), (400, 600), (600, 800), (800, 1000)]


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 500), st.data())
def test_every_wanted_frame_is_in_one_segment(total, size, share, data):
    wanted = sorted(data.draw(st.sets(st.integers(0, total - 1), min_size=1)))
    segments = plan(wanted, groups(size, total), max_packets=share)
    assert [w for s in segments for w in s.wanted] == wanted
    for segment in segments:
        assert all(segment.start <= w < segment.stop for w in segment.wanted)
        assert segment.start % size == 0
    assert all(a.stop <= b.start for a, b in itertools.pairwise(segments))
    decoded = {p for s in segments for p in range(s.start, s.stop)}
    assert decoded <= {p for w in wanted for p in range(*groups(size, total)(w))}


@pytest.mark.parametrize(
    ("lengths", "workers", "threads", "each"),
    [
        ([300], 1, 8, 8),  # one decoder does it all
        ([156, 144], 2, 2, 1),  # as good as even
        ([250, 50], 2, 2, 2),  # most of it is in the first
        ([100, 100, 100], 2, 2, 2),  # the third is alone
        ([100] * 8, 2, 2, 1),
        ([156, 144], 2, 8, 4),
        ([0], 1, 1, 1),
    ],
)
def test_a_decoder_that_has_most_of_the_work_gets_the_threads_that_others_leave(lengths, workers, threads, each):
    assert threads_each(lengths, workers, threads) == each
