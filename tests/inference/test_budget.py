"""A budget is one sum for all processes of a run."""

from __future__ import annotations

import multiprocessing

from pytest_lmms.inference.budget import Budget
from pytest_lmms.records import Response, TokenCounts

RESPONSE = Response(text="", tokens=TokenCounts(input_tokens=3, output_tokens=2))


def spend(path, number):
    budget = Budget(path, max_tokens=10**9)
    for _ in range(number):
        budget.spend([RESPONSE, RESPONSE])


def test_tokens_in_and_out_are_spent_until_nothing_is_left(tmp_path):
    budget = Budget(tmp_path / "b", max_tokens=12)
    assert budget.spend([RESPONSE])
    assert budget.spend([Response(text="a backend that tells no tokens")])
    assert budget.spend([RESPONSE])
    assert budget.reason is None
    assert not budget.spend([RESPONSE])
    assert budget.reason == "the budget of 12 tokens is spent (15)"


def test_requests_can_be_counted_instead(tmp_path):
    budget = Budget(tmp_path / "b", max_requests=2)
    assert budget.spend([RESPONSE])
    assert not budget.spend([RESPONSE])
    assert "2 requests" in budget.reason


def test_processes_share_the_sum(tmp_path):
    path = tmp_path / "b"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=spend, args=(path, 200)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    budget = Budget(path, max_tokens=3 * 200 * 10 + 1)
    assert budget.spend([])
    assert not budget.spend([RESPONSE])
    assert "(6,005)" in budget.reason
