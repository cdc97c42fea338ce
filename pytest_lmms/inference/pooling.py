"""Requests outside any plan, waiting until a batch of them is full. PURE: no threads, no clocks.

Later rounds of documents and what judges are asked come one by one. A call of a batch adapter takes about as long for
one request as for a full batch, so that a request waits for others while the adapter has something to do, and while
others are about to come.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from pytest_lmms.inference.batching import kind_of
from pytest_lmms.records import Request

PATIENCE = 4
"""Batches that may go before a request that waits; then it goes in a batch that is not full."""

T = TypeVar("T")


class Pool(Generic[T]):
    """Requests that wait for company, and what came with each."""

    def __init__(self) -> None:
        """Start empty."""
        self.num_expected = 0
        """Documents between two rounds: each may ask at any moment."""
        self._lines: list[tuple[object, deque[tuple[int, T]]]] = []
        """By kind, those that may share a call: how many batches had gone when each came."""
        self._num_gone = 0

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(line) for _, line in self._lines)

    def put(self, item: T, request: Request) -> None:
        """Let one wait.

        Args:
            item: Given back by `take`.
            request: What is to be asked.
        """
        kind = kind_of(request)
        for known, line in self._lines:
            if known is kind or known == kind:
                line.append((self._num_gone, item))
                return
        self._lines.append((kind, deque([(self._num_gone, item)])))

    def note_gone(self) -> None:
        """Count a batch, of the pool or of the plan, that was sent."""
        self._num_gone += 1

    def take(self, size: int, *, is_idle: bool, has_waited: bool = False) -> list[T] | None:
        """The batch that should be sent now, in order of arrival.

        Args:
            size: Requests of a full batch, >= 1.
            is_idle: The adapter has nothing else to do: what is there goes, once nobody is expected any more.
            has_waited: It has had nothing to do for so long that nobody is waited for.

        Returns:
            A full batch; or the oldest request with what may travel with it; None as long as waiting is better.
        """
        lines = [line for _, line in self._lines if line]
        if not lines:
            return None
        chosen = next((line for line in lines if len(line) >= size), None)
        oldest = min(lines, key=lambda line: line[0][0])
        is_late = self._num_gone - oldest[0][0] >= PATIENCE
        if is_late or (chosen is None and is_idle and (has_waited or not self.num_expected)):
            chosen = oldest
        if chosen is None:
            return None
        return [chosen.popleft()[1] for _ in range(min(size, len(chosen)))]
