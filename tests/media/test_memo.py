"""Work is done once, and its result kept while there is room."""

from __future__ import annotations

import pytest

from pytest_lmms.media.memo import Memo


def memo(max_bytes=100):
    made = []
    kept = Memo(max_bytes=max_bytes, size_of=len)
    return made, lambda key, size=10, max_items=100: kept.get(
        key, lambda: (made.append(key), b"x" * size)[1], max_items=max_items
    )


def test_the_least_recently_used_goes_first():
    made, get = memo(30)
    for key in "abcadab":
        get(key)
    assert made == ["a", "b", "c", "d", "b"]


def test_a_value_larger_than_all_room_drops_nothing():
    made, get = memo(30)
    get("a")
    get("big", 31)
    get("big", 31)
    get("a")
    assert made == ["a", "big", "big"]


def test_no_more_items_than_allowed_are_kept():
    made, get = memo()
    for key in "aabbaa":
        get(key, max_items=1)
    assert made == ["a", "b", "a"]


def test_a_failure_is_not_kept():
    kept = Memo(max_bytes=100, size_of=len)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 / 0, max_items=1)
    assert kept.get("a", lambda: b"x", max_items=1) == b"x"
