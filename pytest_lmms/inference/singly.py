"""Asking an async adapter: one request a call, many calls at once, as many as it wants to have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from pytest_lmms.errors import ModelError
from pytest_lmms.inference.batching import Group
from pytest_lmms.inference.desk import Desk, Entry, check, fail, scorer_of
from pytest_lmms.inference.model import admitted_by
from pytest_lmms.inference.ordering import Queue
from pytest_lmms.records import Response, Timing


class Singly:
    """Asks requests in an order that suits the adapter. For the loop."""

    def __init__(self, desk: Desk, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Set up.

        Args:
            desk: The model, and where responses are kept.
            spawn: Runs a coroutine.
        """
        self._desk = desk
        self._spawn = spawn
        self._queue: Queue[Entry] = Queue(getattr(desk.model, "prefix_characters", None))
        self._answered: list[tuple[Entry, Response]] = []
        """In this turn of the loop."""
        self._num_inside = 0
        """Requests that the adapter has."""

    def put(self, entries: Sequence[Entry], group: Group[Entry] | None, position: int) -> None:  # noqa: ARG002
        """Let requests of one document be asked; `position` is the document's place in its task."""
        for entry in entries:
            self._queue.put(entry, entry.request, position)
        self._desk.loop.call_soon(self._admit)

    def between_rounds(self) -> AbstractContextManager[None]:
        """Around what a document does between two rounds: nothing waits for it."""
        return nullcontext()

    def give_up(self) -> None:
        """Fail what is unsent, in the adapter too."""
        if hasattr(self._desk.model, "give_up"):
            self._desk.model.give_up()
        self._empty()

    def _empty(self) -> None:
        while self._queue:
            fail([self._queue.take()], self._desk.refusal())

    def _admit(self) -> None:
        """Give the adapter as many requests as it wants to have."""
        if self._desk.is_stopping:
            self._empty()
        while self._queue and self._num_inside < admitted_by(self._desk.model):
            self._num_inside += 1
            self._spawn(self._ask(self._queue.take()))

    async def _ask(self, entry: Entry) -> None:
        """Ask one request."""
        answered: tuple[Entry, Response] | None = None
        try:
            answered = (entry, await self._response(entry))
        except asyncio.TimeoutError:
            fail([entry], ModelError(f"no response within {self._desk.settings.timeout_seconds} s"))
        except asyncio.CancelledError:
            fail([entry], self._desk.refusal())
            raise
        except Exception as e:  # noqa: BLE001  (belongs to this document alone)
            fail([entry], e)
        finally:
            if answered is None:
                self._leave(1)
            else:
                if not self._answered:
                    self._desk.loop.call_soon(self._settle)
                self._answered.append(answered)

    async def _response(self, entry: Entry) -> Response:
        if self._desk.is_stopping:
            raise self._desk.refusal()
        model, request = self._desk.model, entry.request
        start = time.perf_counter()
        ask = model.generate if request.continuation is None else scorer_of(model)
        response: Response = await asyncio.wait_for(ask(request), self._desk.settings.timeout_seconds)
        check(response, request)
        self._desk.count(1)
        timing = response.timing or Timing(seconds=time.perf_counter() - start)
        return replace(response, timing=replace(timing, finished=time.time()))

    def _settle(self) -> None:
        """Keep, with one write, what was answered in this turn of the loop; then hand it out."""
        answered, self._answered = self._answered, []
        try:
            self._desk.keep(answered)
        except Exception as e:  # noqa: BLE001  (a full disk, say: told by each document)
            fail([entry for entry, _ in answered], e)
            if self._desk.is_stopping:  # now, not in the next turn: what waits inside the adapter would be sent
                self.give_up()
        for entry, response in answered:
            if not entry.future.done():
                entry.future.set_result(response)
        self._leave(len(answered))

    def _leave(self, number: int) -> None:
        self._num_inside -= number
        self._admit()
