"""Which requests share a batch."""

from __future__ import annotations

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
