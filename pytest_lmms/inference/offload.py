"""Small work for preparation threads: on the loop itself as long as it is quick, on a thread otherwise.

Knows no model and no request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pytest_lmms.inference.batching import split

QUICK_SECONDS = 0.0005
"""A function that takes less is called on the loop itself."""
SLICE_SECONDS = 0.02
"""How long a preparation thread keeps results before handing them over together."""
PIECE = 16
"""Calls that travel to a preparation thread together; small, so that early documents are ready first."""


class Offloader:
    """Runs functions away from an event loop, where that is worth the way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: ThreadPoolExecutor, call: Callable[..., None]) -> None:
        """Set up.

        Args:
            loop: Where `offload` is called and its results are awaited.
            pool: Where slow functions run.
            call: Calls a function on the loop, from any thread; does nothing once the loop has ended.
        """
        self._loop = loop
        self._pool = pool
        self._call = call
        self._pending: list[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self._costs: dict[Callable[..., Any], float] = {}
        """Seconds that functions have taken."""

    def offload(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Run a function away from the loop, unless it has been so quick that the way there would cost more.

        Calls made together travel together. Measured on documents without media to open: 34 microseconds of work
        a document, and as much again for two trips to another thread. Loop only.
        """
        cost = self._costs.get(function, 1.0)
        if cost < QUICK_SECONDS:
            start = time.perf_counter()
            try:
                return _Done(function(*args))
            finally:
                self._note_cost(function, time.perf_counter() - start)
        future = self._loop.create_future()
        if not self._pending:
            self._loop.call_soon(self._pump)
        self._pending.append((future, function, args))
        return future

    def _note_cost(self, function: Callable[..., Any], seconds: float) -> None:
        """Remember how long a function took, mostly of late; one slow call counts at once."""
        known = self._costs.get(function, seconds)
        self._costs[function] = seconds if seconds > SLICE_SECONDS else 0.8 * known + 0.2 * seconds

    def _pump(self) -> None:
        jobs, self._pending = self._pending, []
        for part in split(jobs, PIECE):
            self._pool.submit(self._work, part)

    def _work(self, jobs: Sequence[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]]) -> None:
        done: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        since = time.monotonic()
        for future, function, args in jobs:
            start = time.perf_counter()
            try:
                done.append((future, function(*args), None))
            except BaseException as e:  # noqa: BLE001  (delivered to the one who awaits it)
                done.append((future, None, e))
            self._note_cost(function, time.perf_counter() - start)
            if time.monotonic() - since > SLICE_SECONDS:
                self._call(_deliver, done)
                done = []
                since = time.monotonic()
        self._call(_deliver, done)


class _Done:
    """An awaitable that has its value already."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, None, Any]:
        return self.value
        yield


def _deliver(done: Sequence[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, value, error in done:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
