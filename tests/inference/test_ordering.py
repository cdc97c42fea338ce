"""Waiting requests that begin alike are asked together, within a block."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_lmms.inference.ordering import BLOCK, Queue, prefix_digest
from pytest_lmms.records import Generation, MediaRef, Message, Request


def request(*parts):
    return Request(task="t", doc_id=0, messages=(Message(role="user", content=parts),), generation=Generation())


def drain(queue):
    return [queue.take() for _ in range(len(queue))]


def test_those_that_begin_alike_come_out_together_in_their_order():
    queue = Queue(32)
    openings = ["a" * 40, "b" * 40, "c" * 40]
    for i in range(9):
        queue.put(i, request(openings[i % 3] + str(i)), i)
    came = drain(queue)
    assert sorted(came) == list(range(9))
    assert [[n % 3 for n in came[k : k + 3]] for k in (0, 3, 6)] == [[came[k] % 3] * 3 for k in (0, 3, 6)]
    assert all(came[k : k + 3] == sorted(came[k : k + 3]) for k in (0, 3, 6))


def test_no_block_waits_for_a_later_one():
    queue = Queue(32)
    for i in reversed(range(3 * BLOCK)):
        queue.put(i, request(str(i % 7)), i)
    came = drain(queue)
    assert [n // BLOCK for n in came] == [k for k in range(3) for _ in range(BLOCK)]


def test_without_prefixes_the_order_is_that_of_arrival():
    queue = Queue(None)
    for i in (5, 3, 900, 1):
        queue.put(i, request(str(i)), i)
    assert drain(queue) == [5, 3, 900, 1]


def test_media_count_by_what_refers_to_them_and_are_not_opened():
    shared = MediaRef(kind="image", path="/nowhere/a.png")
    other = MediaRef(kind="image", path="/nowhere/b.png")
    digest = prefix_digest(request(shared, "x" * 64 + "1"), 64)
    assert digest == prefix_digest(request(shared, "x" * 64 + "2"), 64)
    assert digest != prefix_digest(request(other, "x" * 64 + "1"), 64)
    by_bytes = [prefix_digest(request(MediaRef(kind="image", data=b)), 64) for b in (b"1" * 99, b"2" * 99, b"1" * 98)]
    assert len(set(by_bytes)) == 3


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4 * BLOCK)), max_size=30), st.sampled_from([None, 32]))
def test_each_comes_out_once_earlier_blocks_first_and_alike_ones_together(entries, characters):
    queue = Queue(characters)
    for i, (letter, position) in enumerate(entries):
        queue.put(i, request(letter * 40), position)
    came = drain(queue)
    assert sorted(came) == list(range(len(entries)))
    if characters is None:
        assert came == sorted(came)
        return
    keys = [(entries[i][1] // BLOCK, entries[i][0]) for i in came]
    assert [block for block, _ in keys] == sorted(block for block, _ in keys)
    assert len(set(keys)) == sum(1 for a, b in zip([None, *keys], keys, strict=False) if a != b)
    assert all(a < b for a, b, k, m in zip(came, came[1:], keys, keys[1:], strict=False) if k == m)
