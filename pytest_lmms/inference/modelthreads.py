"""The threads on which a batch adapter lives: one that starts, asks and stops it, and more where it works elsewhere."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future as ThreadFuture
from typing import Any

from pytest_lmms.errors import ModelError
from pytest_lmms.inference.asking import Asker
from pytest_lmms.inference.desk import Desk, Entry, Outcome, fail
from pytest_lmms.inference.model import asked_in_parallel

POLL_SECONDS = 0.5
LATE_SECONDS = 2.0
"""How long a run's end waits for a late batch: native code that comes back while Python ends aborts the process."""


class ModelThreads:
    """Answers batches one after the other, and notices one that never comes back."""

    def __init__(
        self,
        desk: Desk,
        batch_size: int,
        *,
        started: Callable[[BaseException | None], None],
        answered: Callable[[Sequence[Outcome]], None],
        stuck: Callable[[], None],
    ) -> None:
        """Set up; nothing runs before `start`.

        Args:
            desk: The model, and where responses are kept.
            batch_size: The largest batch that will be asked.
            started: Called once the adapter has started, or with what it failed of.
            answered: Called on the loop with each batch's outcomes.
            stuck: Called on the loop when the adapter does not come back.
        """
        self._desk = desk
        self._started, self._answered, self._stuck = started, answered, stuck
        self.asker = Asker(desk, batch_size, self._restart_watch)
        self.num_parallel = asked_in_parallel(desk.model)
        """Batches that the adapter has at once."""
        self.call_seconds = 0.0
        """How long the last batch took."""
        self._timeout_seconds = None if getattr(desk.model, "keeps_time", False) else desk.settings.timeout_seconds
        self._jobs: queue.SimpleQueue[tuple[Sequence[Entry], ThreadFuture[Any] | None] | None] = queue.SimpleQueue()
        self._busy: dict[int, tuple[float, Sequence[Entry]]] = {}
        """By model thread: since when it asks what."""
        self._threads = [threading.Thread(target=self._run, name="lmms-model", daemon=True)]
        self._threads += [
            threading.Thread(target=self._work, name=f"lmms-model-{number}", daemon=True)
            for number in range(2, self.num_parallel + 1)
        ]

    def start(self) -> None:
        """Start the first thread, and on it the adapter."""
        self._threads[0].start()

    def put(self, batch: Sequence[Entry], prepared: ThreadFuture[Any] | None) -> None:
        """Let a batch be asked, after those that were put before it."""
        self._jobs.put((batch, prepared))

    def finish(self, seconds: float) -> None:
        """Ask nothing behind what was put, and wait for that and the adapter's stop; not long for a stuck one."""
        if self._desk.is_stuck:
            seconds = 0.0 if self._desk.settings.is_replaceable else min(seconds, LATE_SECONDS)
        for _ in self._threads:
            self._jobs.put(None)
        self._threads[0].join(seconds)

    def _run(self) -> None:
        model = self._desk.model
        try:
            if hasattr(model, "start"):
                model.start()
        except BaseException as e:  # noqa: BLE001  (told by `Engine.start`)
            self._started(e)
            return
        if self._timeout_seconds is not None:
            self._desk.call(self._watch)
        self._started(None)
        for thread in (others := self._threads[1:]):
            thread.start()
        self._work()
        for thread in others:
            thread.join()
        if hasattr(model, "stop"):
            model.stop()

    def _work(self) -> None:
        """Answer batches until there are no more."""
        here = threading.get_ident()
        while (job := self._jobs.get()) is not None:
            batch, prepared = job
            since = time.monotonic()
            self._busy[here] = (since, batch)
            outcomes = self.asker.answer(batch, prepared)
            self.call_seconds = time.monotonic() - since
            self._desk.call(self._answered, outcomes)
            self._busy.pop(here, None)

    def _restart_watch(self) -> None:
        """Give what begins now the whole of the timeout."""
        here = threading.get_ident()
        self._busy[here] = (time.monotonic(), self._busy[here][1])

    def _watch(self) -> None:
        """Notice a batch that never comes back."""
        limit = self._timeout_seconds
        now = time.monotonic()
        late = [batch for since, batch in list(self._busy.values()) if limit is not None and now - since > limit]
        if not late:
            self._desk.loop.call_later(min(POLL_SECONDS, (limit or 1) / 4), self._watch)
            return
        self._desk.is_stuck = True
        for batch in late:
            fail(batch, ModelError(f"no response within {limit} s: the adapter's generate is stuck"))
        self._stuck()
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                fail(job[0], self._desk.refusal())
