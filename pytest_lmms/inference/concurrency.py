"""Where attempts wait for their turn, so that a server is asked no more at once than a controller allows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_lmms.errors import UnansweredError
from pytest_lmms.inference.controllers import Controller, Outcome


class Attempt:
    """One attempt while it is in flight; whoever makes it says how it went."""

    __slots__ = ("is_failure", "is_overload", "num_in_flight", "started")

    def __init__(self, started: float, num_in_flight: int) -> None:
        self.started = started
        self.num_in_flight = num_in_flight
        self.is_failure = False
        self.is_overload = False


class Limiter:
    """Lets as many attempts through as its controller says; the others wait, repeated attempts before new ones.

    For one event loop.
    """

    def __init__(self, controller: Controller, *, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start with nothing in flight.

        Args:
            controller: Asked for its limit whenever an attempt begins or ends.
            clock: Seconds, only forward.
        """
        self.controller = controller
        self.num_in_flight = 0
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    def close(self) -> None:
        """Let nothing more through: whoever waits, or comes, gets UnansweredError."""
        self._is_closed = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(UnansweredError("not asked: the run was stopped"))

    async def enter(self, *, is_repeated: bool = False) -> None:
        """Wait until one more attempt may begin; `attempt` must follow at once."""
        if self._is_closed:
            raise UnansweredError("not asked: the run was stopped")
        if self.num_in_flight < self.controller.limit and not self._waiting:
            self.num_in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if is_repeated else self._waiting.append)(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave()
            raise

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Hold the place that `enter` gave, and tell the controller how it went."""
        attempt = Attempt(self._clock(), self.num_in_flight)
        try:
            yield attempt
            now = self._clock()
            self.controller.observe(
                Outcome(
                    seconds=now - attempt.started,
                    num_in_flight=attempt.num_in_flight,
                    is_overload=attempt.is_overload,
                    is_failure=attempt.is_failure,
                ),
                now,
            )
        finally:
            self._leave()

    def _leave(self) -> None:
        self.num_in_flight -= 1
        while self._waiting and self.num_in_flight < self.controller.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.num_in_flight += 1
                turn.set_result(None)
