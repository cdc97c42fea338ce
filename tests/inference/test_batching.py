"""Which requests share a batch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_lmms.inference.batching import Group, by_kind, split
from pytest_lmms.records import Generation, Message, Request


def request(doc_id: int, **settings: object) -> Request:
    return Request(
        task="t",
        doc_id=doc_id,
        messages=(Message(role="user", content=("hello",)),),
        generation=Generation(**settings),  # type: ignore[arg-type]
    )


def test_a_group_leaves_when_its_last_member_arrives_ordered_by_position() -> None:
    group: Group[str] = Group(3)
    assert group.arrive(2, ["c"]) is None
    assert group.arrive(0, ["a1", "a2"]) is None
    assert group.arrive(1, ["b"]) == ["a1", "a2", "b", "c"]


def test_a_member_that_drops_out_does_not_hold_up_the_group() -> None:
    group: Group[str] = Group(2)
    assert group.arrive(0, []) is None
    assert group.arrive(1, ["b"]) == ["b"]


def test_split_keeps_order_and_leaves_a_short_last_piece() -> None:
    assert split([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]


def test_requests_with_different_settings_never_share_a_batch() -> None:
    requests = [request(0, temperature=0.0), request(1, temperature=1.0), request(2, temperature=0.0)]
    assert by_kind(["a", "b", "c"], requests) == [["a", "c"], ["b"]]


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=12).flatmap(
        lambda n: st.tuples(st.just(n), st.permutations(range(len(n))))
    )
)
def test_a_group_gives_all_entries_once_in_order_whatever_order_its_members_arrive_in(given_):
    counts, order = given_
    group: Group[tuple[int, int]] = Group(len(counts))
    gone = [group.arrive(p, [(p, i) for i in range(counts[p])]) for p in order]
    assert gone[:-1] == [None] * (len(counts) - 1)
    assert gone[-1] == [(p, i) for p in range(len(counts)) for i in range(counts[p])]


@given(st.lists(st.integers()), st.integers(1, 9))
def test_pieces_are_full_but_for_the_last_and_lose_nothing(entries, size):
    pieces = split(entries, size)
    assert [e for piece in pieces for e in piece] == entries
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.booleans()), max_size=12))
def test_parts_hold_each_entry_once_in_order_and_one_kind_only(kinds):
    requests = [
        Request(
            task="t", doc_id=i, messages=(), generation=Generation(temperature=t), continuation="x" if scored else None
        )
        for i, (t, scored) in enumerate(kinds)
    ]
    parts = by_kind(range(len(kinds)), requests)
    assert sorted(i for part in parts for i in part) == list(range(len(kinds)))
    assert all(part == sorted(part) for part in parts)
    found = [{("scored" if kinds[i][1] else kinds[i][0]) for i in part} for part in parts if part]
    assert all(len(kind) == 1 for kind in found)
    assert len({next(iter(kind)) for kind in found}) == len(found)
