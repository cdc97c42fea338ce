"""Asking a batch adapter: planned batches as they were planned, and requests outside the plan when a batch is full."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from pytest_lmms.inference.batching import Group, by_kind, split
from pytest_lmms.inference.desk import Desk, Entry, Outcome, fail
from pytest_lmms.inference.modelthreads import ModelThreads
from pytest_lmms.inference.pooling import Pool
from pytest_lmms.records import Response

AHEAD = 2
"""Batches prepared while one is being answered."""
LEAST_WAIT_SECONDS = 1.0
"""A model with nothing to do waits at least so long for documents between two rounds, before it is given fewer requests
than a batch holds."""


class Batched:
    """Feeds the model threads. All but `start` and `finish` is for the loop."""

    def __init__(
        self,
        desk: Desk,
        preparation: ThreadPoolExecutor,
        batch_size: int,
        *,
        started: Callable[[BaseException | None], None],
    ) -> None:
        """Set up; nothing runs before `start`.

        Args:
            desk: The model, and where responses are kept.
            preparation: Where batches are prepared.
            batch_size: The largest batch.
            started: Called once the adapter has started, or with what it failed of.
        """
        self._desk = desk
        self._preparation = preparation
        self._batch_size = batch_size
        self.threads = ModelThreads(
            desk, batch_size, started=started, answered=self._resolve, stuck=self.give_up
        )  # fmt: skip
        self._ready: deque[Sequence[Entry]] = deque()
        self._pool: Pool[Entry] = Pool()
        self._wait: asyncio.TimerHandle | None = None
        """Ends the wait of a model that has nothing to do for requests that are about to come."""
        self._is_feeding_soon = False
        self._num_sent = 0
        """Batches that the model threads have."""

    def start(self) -> None:
        """Start the adapter."""
        self.threads.start()

    def finish(self, seconds: float) -> None:
        """Wait for the batch in hand and the adapter's stop."""
        self.threads.finish(seconds)

    def put(self, entries: Sequence[Entry], group: Group[Entry] | None, position: int) -> None:
        """Let requests of one document be asked.

        Args:
            entries: The requests; may be empty.
            group: The planned batch that they belong to; None lets them travel with whatever is waiting.
            position: The document's place in that batch.
        """
        if group is not None:
            self.arrive(group, position, entries)
        elif entries:
            for entry in entries:
                self._pool.put(entry, entry.request)
            self._feed_soon()

    def arrive(self, group: Group[Entry], position: int, entries: Sequence[Entry] = ()) -> None:
        """Tell a planned batch that a member is there, or (without entries) has dropped out."""
        if complete := group.arrive(position, entries):
            for part in by_kind(complete, [entry.request for entry in complete]):
                self._ready.extend(split(part, self._batch_size))
            self._feed()

    @contextmanager
    def between_rounds(self) -> Iterator[None]:
        """Around what a document does between a response and its next request: a batch may wait for it."""
        self._pool.num_expected += 1
        try:
            yield
        finally:
            self._pool.num_expected -= 1
            self._feed_soon()

    def give_up(self) -> None:
        """Fail what is unsent."""
        while self._ready:
            fail(self._ready.popleft(), self._desk.refusal())
        while (waiting := self._pool.take(self._batch_size, is_idle=True, has_waited=True)) is not None:
            fail(waiting, self._desk.refusal())

    def _feed_soon(self) -> None:
        if not self._is_feeding_soon:
            self._is_feeding_soon = True
            self._desk.loop.call_soon(self._feed)

    def _feed(self, *, has_waited: bool = False) -> None:
        """Hand batches to preparation and the model threads, never more than a few ahead."""
        self._is_feeding_soon = False
        while self._num_sent < AHEAD + self.threads.num_parallel:
            batch = self._next_batch(has_waited=has_waited)
            if batch is None:
                break
            has_waited = False
            if self._desk.is_over:
                fail(batch, self._desk.refusal())
                continue
            self._pool.note_gone()
            self._num_sent += 1
            prepared = None
            if self.threads.asker.wants_preparation(batch):
                prepared = self._preparation.submit(self._desk.model.prepare, [entry.request for entry in batch])
            self.threads.put(batch, prepared)
        self._limit_wait()

    def _next_batch(self, *, has_waited: bool) -> Sequence[Entry] | None:
        """A batch of documents that have begun, before one of the plan: what is begun ends, and others can begin."""
        is_over = self._desk.is_over
        pooled = self._pool.take(
            self.threads.asker.fitting_batch_size,
            is_idle=is_over or self._is_idle,
            has_waited=is_over or has_waited,
        )
        if pooled:  # in the order of documents, whichever thread was first
            return sorted(pooled, key=lambda entry: (entry.request.task, entry.request.doc_id))
        return self._ready.popleft() if self._ready else None

    @property
    def _is_idle(self) -> bool:
        """Whether the adapter could be asked something at once, and no planned batch is there."""
        return self._num_sent < self.threads.num_parallel and not self._ready

    def _limit_wait(self) -> None:
        """Let an adapter that has nothing to do wait for documents between two rounds, but not for ever.

        A document whose tools take long must not hold up the others: as long as a call takes is what waiting can save.
        """
        if not (self._pool and self._is_idle):
            if self._wait is not None:
                self._wait.cancel()
                self._wait = None
        elif self._wait is None:
            seconds = max(LEAST_WAIT_SECONDS, self.threads.call_seconds)
            self._wait = self._desk.loop.call_later(seconds, self._end_wait)

    def _end_wait(self) -> None:
        self._wait = None
        self._feed(has_waited=True)

    def _resolve(self, outcomes: Sequence[Outcome]) -> None:
        """Hand out what became of a batch, and send the next."""
        self._num_sent -= 1
        for entry, outcome in outcomes:
            if not isinstance(outcome, Response):
                fail([entry], outcome)
            elif not entry.future.done():
                entry.future.set_result(outcome)
        if self._ready:
            self._feed()
        # Documents hear of their responses in the next turn of the loop; those asked several times, in the one after.
        self._desk.loop.call_soon(self._feed_soon)
