"""The pool: requests outside any plan wait for company as long as that costs nobody anything."""

from __future__ import annotations

import pytest

from pytest_lmms.inference.pooling import PATIENCE, Pool
from pytest_lmms.records import Generation, Message, Request


def request(tokens: int = 8) -> Request:
    return Request(
        task="t",
        doc_id=0,
        messages=(Message(role="user", content=("?",)),),
        generation=Generation(max_new_tokens=tokens),
    )


@pytest.fixture
def pool() -> Pool[int]:
    return Pool()


def put(pool: Pool[int], *items: int, tokens: int = 8) -> None:
    for item in items:
        pool.put(item, request(tokens))


def test_a_full_batch_goes_at_once_and_in_order_of_arrival(pool: Pool[int]) -> None:
    put(pool, 1, 2, 3, 4, 5)
    assert pool.take(4, is_idle=False) == [1, 2, 3, 4]
    assert len(pool) == 1


def test_what_is_not_full_waits_for_the_adapter(pool: Pool[int]) -> None:
    put(pool, 1, 2)
    assert pool.take(4, is_idle=False) is None
    assert pool.take(4, is_idle=True) == [1, 2]
    assert pool.take(4, is_idle=True) is None


def test_an_idle_adapter_waits_for_documents_that_are_about_to_ask(pool: Pool[int]) -> None:
    put(pool, 1)
    pool.num_expected = 1
    assert pool.take(4, is_idle=True) is None
    assert pool.take(4, is_idle=True, has_waited=True) == [1]


def test_requests_of_different_settings_do_not_travel_together(pool: Pool[int]) -> None:
    put(pool, 1)
    put(pool, 2, 3, tokens=9)
    put(pool, 4)
    assert pool.take(2, is_idle=False) == [1, 4]
    assert pool.take(2, is_idle=False) == [2, 3]


def test_nobody_waits_for_more_than_a_few_batches_of_others(pool: Pool[int]) -> None:
    put(pool, 1)
    for _ in range(PATIENCE):
        put(pool, 2, 3, tokens=9)
        assert pool.take(2, is_idle=False) == [2, 3]
        pool.note_gone()
    put(pool, 2, 3, tokens=9)
    assert pool.take(2, is_idle=False) == [1]
