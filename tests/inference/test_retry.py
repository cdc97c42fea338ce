"""Asking again, and giving up in time."""

from __future__ import annotations

import asyncio
import email.utils
import gc
import time
import weakref

import pytest

from pytest_lmms.errors import ModelError
from pytest_lmms.inference.concurrency import Limiter
from pytest_lmms.inference.controllers import Adaptive, Fixed
from pytest_lmms.inference.retry import (
    Deadline,
    Failure,
    RetryPolicy,
    ask_until_answered,
    retry_after_seconds,
    worth_retrying,
)


def ask(outcomes, *, controller=None, max_retries=5, **failure):
    """Ask with attempts that end as `outcomes` says: an exception is raised, the rest returned."""
    left = list(outcomes)

    async def attempt():
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return asyncio.run(
        ask_until_answered(
            attempt,
            lambda error, n: Failure(**{"message": f"{error} after {n}", "may_pass": True, **failure}),
            limiter=Limiter(controller or Fixed(1)),
            policy=RetryPolicy(max_retries=max_retries, backoff_seconds=0.001),
        )
    )


def test_attempts_are_made_until_one_succeeds():
    assert ask([OSError("a"), OSError("b"), "yes"]) == ("yes", 3)
    assert ask(["yes"]) == ("yes", 1)


def test_the_last_failure_is_told():
    with pytest.raises(ModelError, match="c after 3"):
        ask([OSError("a"), OSError("b"), OSError("c")], max_retries=2)
    with pytest.raises(ModelError, match="a after 1"):
        ask([OSError("a"), "never"], may_pass=False)


def test_overload_lowers_the_limit_and_other_failures_do_not():
    for is_overload, limit in ((True, 7), (False, 8)):
        controller = Adaptive(start=8, most=8)
        ask([OSError("a"), "yes"], controller=controller, is_overload=is_overload)
        assert (controller.limit < 8) == (limit < 8)


def test_waits_grow_with_jitter_up_to_a_minute():
    policy = RetryPolicy(backoff_seconds=1.0)
    failure = Failure(message="", may_pass=True)
    for num_attempts, longest in ((1, 1), (2, 2), (4, 8), (20, 60)):
        waits = {policy.wait_seconds(failure, num_attempts) for _ in range(20)}
        assert longest / 2 <= min(waits) < max(waits) <= longest


def test_what_the_server_says_is_obeyed_within_reason():
    policy = RetryPolicy(longest_retry_after_seconds=100)
    assert policy.wait_seconds(Failure(message="", may_pass=True, retry_after_seconds=7.5), 1) == 7.5
    assert policy.wait_seconds(Failure(message="", may_pass=True, retry_after_seconds=0.0), 1) == 0
    assert policy.wait_seconds(Failure(message="", may_pass=True, retry_after_seconds=1e6), 1) == 100


def test_retry_after_is_read_in_all_its_forms():
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    past = email.utils.formatdate(time.time() - 30, usegmt=True)
    assert retry_after_seconds({"retry-after": "1.5"}) == 1.5
    assert retry_after_seconds({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert 28 <= retry_after_seconds({"retry-after": soon}) <= 30
    assert retry_after_seconds({"retry-after": past}) == 0
    assert retry_after_seconds({"retry-after": "soon"}) is None
    assert retry_after_seconds({}) is None
    assert retry_after_seconds(None) is None


def test_statuses_that_may_change_are_worth_retrying():
    assert [s for s in (400, 401, 403, 404, 408, 409, 422, 425, 429, 500, 503, 529) if worth_retrying(s)] == [
        408, 409, 425, 429, 500, 503, 529,
    ]  # fmt: skip


def test_a_deadline_ends_what_takes_too_long_and_can_be_moved():
    async def run(seconds, moved=None):
        async with Deadline(seconds) as deadline:
            if moved is not None:
                deadline.move(moved)
            await asyncio.sleep(0.05)
        return deadline.is_over

    with pytest.raises(TimeoutError):
        asyncio.run(run(0.005))
    with pytest.raises(TimeoutError):
        asyncio.run(run(5, moved=0.005))
    assert asyncio.run(run(0.02, moved=5)) is False
    assert asyncio.run(run(None)) is False


def test_a_deadline_lets_others_cancel():
    async def run():
        async with Deadline(60):
            await asyncio.sleep(60)

    async def outer():
        task = asyncio.create_task(run())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(outer())


def test_what_failed_is_gone_as_soon_as_nobody_asks_for_it():
    class Heavy(OSError):
        """Stands for an error whose traceback holds a long reply."""

    error = Heavy("no")
    gone = weakref.ref(error)
    errors = [error]
    del error

    async def attempt():
        raise errors.pop()

    async def told():
        try:
            await ask_until_answered(
                attempt, lambda error, n: Failure(message="no", may_pass=False),
                limiter=Limiter(Fixed(1)), policy=RetryPolicy(max_retries=0, backoff_seconds=0.001),
            )  # fmt: skip
        except ModelError as e:
            return str(e)

    gc.disable()
    try:
        assert asyncio.run(told()) == "no"
        assert gone() is None
    finally:
        gc.enable()
