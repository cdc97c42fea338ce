"""Asks a batch adapter one batch, and finds out which request is at fault when it fails. Knows no thread, no loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future as ThreadFuture
from dataclasses import replace
from typing import Any

from pytest_lmms.errors import ModelError, OutOfMemoryError
from pytest_lmms.inference.desk import Desk, Entry, Outcome, check, scorer_of
from pytest_lmms.records import Request, Response, Timing

HALVED = "batch_halved"
"""Flag of a response whose batch did not fit into memory as it was planned."""


class Asker:
    """Gives every request of a batch a response or an error."""

    def __init__(self, desk: Desk, batch_size: int, restart_watch: Callable[[], None]) -> None:
        """Set up.

        Args:
            desk: The model, and where responses are kept.
            batch_size: The largest batch that will be asked.
            restart_watch: Called when what begins may take the whole of the timeout.
        """
        self._desk = desk
        self._restart_watch = restart_watch
        self.fitting_batch_size = batch_size
        """Largest size that has not run out of memory; below `batch_size` once one has."""
        self._prepares = hasattr(desk.model, "prepare") and hasattr(desk.model, "generate_prepared")

    def wants_preparation(self, batch: Sequence[Entry]) -> bool:
        """Whether a batch is to be prepared ahead of `answer`."""
        return self._prepares and self.fitting_batch_size >= len(batch) and batch[0].request.continuation is None

    def answer(self, batch: Sequence[Entry], prepared: ThreadFuture[Any] | None) -> list[Outcome]:
        """Answer a batch, and keep the responses."""
        if self._desk.is_stopping:
            return [(entry, self._desk.refusal()) for entry in batch]
        if len(batch) > self.fitting_batch_size:
            outcomes = self._ask_parts(batch, self.fitting_batch_size, HALVED)
        else:
            outcomes = self._ask(batch, prepared)
        try:
            self._desk.keep([(entry, outcome) for entry, outcome in outcomes if isinstance(outcome, Response)])
        except Exception as e:  # noqa: BLE001  (a full disk, say: told by each document)
            return [(entry, e if isinstance(outcome, Response) else outcome) for entry, outcome in outcomes]
        return outcomes

    def _ask_parts(self, batch: Sequence[Entry], size: int, flag: str | None) -> list[Outcome]:
        """Ask a batch in pieces, no larger than what is known to fit by the time each is asked."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(batch):
            start = len(outcomes)
            for entry, outcome in self._ask(batch[start : start + min(size, self.fitting_batch_size)], None):
                if flag and isinstance(outcome, Response) and flag not in outcome.flags:
                    outcome = replace(outcome, flags=(*outcome.flags, flag))
                outcomes.append((entry, outcome))
        return outcomes

    def _ask(self, batch: Sequence[Entry], prepared: ThreadFuture[Any] | None) -> list[Outcome]:
        """Ask a batch; in halves when it does not fit, one by one when it fails."""
        try:
            responses, start = self._responses([entry.request for entry in batch], prepared)
        except OutOfMemoryError as e:
            if len(batch) == 1:
                return [(batch[0], e)]
            half = -(-len(batch) // 2)
            self.fitting_batch_size = min(self.fitting_batch_size, half)
            return self._ask_parts(batch, half, HALVED)
        except Exception as e:  # noqa: BLE001  (found out below which request is at fault)
            if len(batch) == 1:
                return [(batch[0], e)]
            return self._ask_parts(batch, 1, None)
        self._desk.count(len(batch))
        finished = time.time()
        timing = Timing(seconds=time.perf_counter() - start, batch_size=len(batch), finished=finished)
        timed = (replace(r, timing=replace(r.timing, finished=finished) if r.timing else timing) for r in responses)
        return list(zip(batch, timed, strict=True))

    def _responses(
        self, requests: Sequence[Request], prepared: ThreadFuture[Any] | None
    ) -> tuple[list[Response], float]:
        """What the adapter returns for a batch, checked; and when it began, by `time.perf_counter`."""
        model = self._desk.model
        start = self._begin()
        if requests[0].continuation is not None:
            responses = scorer_of(model)(requests)
        elif self._prepares:
            ready = prepared.result() if prepared is not None else model.prepare(requests)
            start = self._begin()
            responses = model.generate_prepared(ready, requests)
        else:
            responses = model.generate(requests)
        if not isinstance(responses, list) or len(responses) != len(requests):
            raise ModelError(
                f"{type(model).__name__}.generate returned "
                f"{len(responses) if isinstance(responses, list) else type(responses).__name__} "
                f"for {len(requests)} requests; expected a list of as many responses"
            )
        for response, request in zip(responses, requests, strict=True):
            check(response, request)
        return responses, start

    def _begin(self) -> float:
        self._restart_watch()
        return time.perf_counter()
