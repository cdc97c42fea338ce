"""Controllers against servers in simulated time, and the limiter that obeys them."""

from __future__ import annotations

import asyncio
import heapq
import random

import pytest

from pytest_lmms.errors import UsageError
from pytest_lmms.inference.concurrency import Limiter
from pytest_lmms.inference.controllers import Adaptive, Fixed, Outcome, Windowed, make_controller


def simulate(controller, *, num_requests=6000, hidden_limit=10**9, num_servers=10**9, seconds=0.2, seed=0):
    """Ask a server that refuses above `hidden_limit` in flight, and answers `num_servers` at a time.

    Returns the average in flight over the last 80 % of the time, how many were refused, and the seconds it took.
    """
    noise = random.Random(seed)
    now, flying, done, refused = 0.0, [], 0, 0
    in_flight, free_at, history, number = 0, [], [], 0
    while done < num_requests:
        while in_flight < controller.limit and done + in_flight < num_requests:
            in_flight += 1
            number += 1
            if in_flight > hidden_limit:
                heapq.heappush(flying, (now + 0.005, number, now, in_flight, True))
                continue
            begins = now
            if len(free_at) >= num_servers:
                begins = max(now, heapq.heappop(free_at))
            ends = begins + seconds * noise.uniform(0.8, 1.2)
            if num_servers < 10**9:
                heapq.heappush(free_at, ends)
            heapq.heappush(flying, (ends, number, now, in_flight, False))
        until, _, began, level, is_refused = heapq.heappop(flying)
        history.append((until - now, in_flight))
        now = until
        in_flight -= 1
        refused += is_refused
        done += not is_refused
        controller.observe(Outcome(seconds=now - began, num_in_flight=level, is_overload=is_refused), now)
    late, passed = [], 0.0
    for length, level in history:
        passed += length
        if passed > 0.2 * now:
            late.append((length, level))
    average = sum(length * level for length, level in late) / sum(length for length, _ in late)
    return average, refused, now


@pytest.mark.parametrize("hidden_limit", [5, 20, 50, 100, 200])
def test_the_adaptive_controller_settles_below_a_hidden_limit(hidden_limit):
    average, refused, _ = simulate(Adaptive(start=32, most=256), hidden_limit=hidden_limit)
    assert 0.8 * hidden_limit <= average <= 1.2 * hidden_limit
    assert refused < 600


def test_a_server_that_refuses_nothing_is_asked_all_that_is_allowed():
    controller = Adaptive(start=32, most=128)
    _, refused, seconds = simulate(controller, num_requests=2560)
    assert controller.limit == 128
    assert refused == 0
    assert seconds < 1.15 * 2560 / 128 * 0.2


def test_growth_ends_where_a_server_only_queues():
    controller = Adaptive(start=8, most=256)
    simulate(controller, num_servers=16, num_requests=2000)
    assert 16 <= controller.limit <= 64


def test_a_limit_that_rises_again_is_found():
    controller = Adaptive(start=32, most=256)
    simulate(controller, hidden_limit=20, num_requests=1000)
    assert controller.limit <= 21
    simulate(controller, hidden_limit=40, num_requests=20000)
    assert 32 <= controller.limit <= 41


def test_refusals_of_requests_that_flew_together_count_once():
    controller = Adaptive(start=32, most=256)
    for _ in range(20):
        controller.observe(Outcome(seconds=0.1, num_in_flight=32, is_overload=True), 1.0)
    assert controller.limit == 28
    controller.observe(Outcome(seconds=0.1, num_in_flight=28, is_overload=True), 2.0)
    assert controller.limit == 25


def test_other_failures_move_nothing():
    controller = Adaptive(start=8, most=64)
    for i in range(50):
        controller.observe(Outcome(seconds=0.1, num_in_flight=8, is_failure=True), float(i))
    assert controller.limit == 8


def test_the_limit_stays_between_least_and_most():
    controller = Adaptive(start=4, most=8, least=3)
    for i in range(9):
        controller.observe(Outcome(seconds=0.0, num_in_flight=4, is_overload=True), 10.0 * (i + 1))
    assert controller.limit == 3
    simulate(controller, num_requests=2000)
    assert controller.limit == 8


def window(controller, number, *, seconds=1.0, num_refused=0, num_failed=0):
    for i in range(number):
        controller.observe(
            Outcome(
                seconds=seconds,
                num_in_flight=1,
                is_overload=i < num_refused,
                is_failure=num_refused <= i < num_refused + num_failed,
            ),
            0.0,
        )
    return controller.limit


def test_lmms_evals_controller_follows_its_formulas():
    controller = Windowed(start=40)
    assert window(controller, 40) == 44  # + 10 %
    assert window(controller, 44, num_refused=2) == 44  # 4.5 % refused: below the threshold, but not none
    assert window(controller, 44, num_refused=3) == 30  # x 0.7
    assert window(controller, 30, seconds=14.0) == 30  # between 0.85 and 1.1 times the target
    assert window(controller, 30, seconds=17.0) == 21
    assert window(controller, 21, num_failed=1) == 21  # 4.8 %
    assert window(controller, 21, num_failed=2) == 14
    assert window(Windowed(start=1), 4) == 2  # a window is at least 4, a step at least 1


def test_lmms_evals_controller_moves_settings_into_their_ranges():
    controller = Windowed(start=500, most=0, least=0, decrease_factor=0.0, target_latency_s=0, increase_step=0)
    assert (controller.limit, controller.most) == (1, 1)
    assert controller._factor == 0.1
    assert controller._target == 0.1


def test_controllers_are_chosen_by_name():
    assert isinstance(make_controller("adaptive", num_concurrent=None), Adaptive)
    assert make_controller("adaptive", num_concurrent=None).limit == 32
    assert make_controller("adaptive", num_concurrent=64).limit == 64
    assert make_controller("adaptive", num_concurrent=64).most == 64
    assert make_controller("adaptive", num_concurrent=4, most=64).most == 64
    assert isinstance(make_controller("fixed", num_concurrent=3), Fixed)
    assert isinstance(make_controller("adaptive", num_concurrent=3, adaptive=False), Fixed)
    controller = make_controller("fixed", num_concurrent=3, adaptive=True, target_latency_s=2.0, most=None)
    assert isinstance(controller, Windowed)
    assert controller._target == 2.0
    with pytest.raises(UsageError, match="adaptive, windowed"):
        make_controller("adaptiv", num_concurrent=None)
    with pytest.raises(UsageError, match="num_concurrent=0"):
        make_controller("fixed", num_concurrent=0)


def test_the_limiter_lets_through_what_the_controller_says_and_repeated_attempts_first():
    limiter = Limiter(Fixed(2))
    order, most = [], 0

    async def attempt(name, *, is_repeated=False):
        nonlocal most
        await limiter.enter(is_repeated=is_repeated)
        with limiter.attempt():
            most = max(most, limiter.num_in_flight)
            order.append(name)
            await asyncio.sleep(0.001)

    async def run():
        tasks = [asyncio.create_task(attempt(i)) for i in range(5)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(attempt("again", is_repeated=True)))
        await asyncio.gather(*tasks)

    asyncio.run(run())
    assert most == 2
    assert order[:3] == [0, 1, "again"]
    assert order[3:] == [2, 3, 4]
    assert limiter.num_in_flight == 0


def test_a_cancelled_attempt_gives_its_place_back():
    limiter = Limiter(Fixed(1))

    async def attempt(seconds):
        await limiter.enter()
        with limiter.attempt():
            await asyncio.sleep(seconds)

    async def run():
        first = asyncio.create_task(attempt(60))
        second = asyncio.create_task(attempt(60))
        third = asyncio.create_task(attempt(0))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait_for(third, 5)

    asyncio.run(run())
    assert limiter.num_in_flight == 0
