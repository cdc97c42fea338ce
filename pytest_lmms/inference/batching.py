"""Which requests share a batch. Pure: no threads, no queues, no clocks.

A single-turn batch is a fixed group of the plan: documents of one task, by position, `batch_size` at a time. It
leaves when each of its members has either arrived or dropped out, so the same plan gives the same batches however
late a picture was decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from pytest_lmms.records import Request

T = TypeVar("T")


class Group(Generic[T]):
    """One planned batch, filling up."""

    __slots__ = ("_arrived", "_open")

    def __init__(self, members: int) -> None:
        """Plan a batch of `members` documents, >= 1."""
        self._open = members
        self._arrived: list[tuple[int, list[T]]] = []

    def arrive(self, position: int, entries: Sequence[T]) -> list[T] | None:
        """A member brings its requests (none, when all its responses are known already).

        Args:
            position: Its place in the task's selection; orders the batch.
            entries: What it asks.

        Returns:
            All entries in order of position once the last member has arrived, else None.
        """
        self._arrived.append((position, list(entries)))
        self._open -= 1
        if self._open > 0:
            return None
        self._arrived.sort(key=lambda a: a[0])
        return [e for _, es in self._arrived for e in es]


def split(entries: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cut a sequence into pieces of at most `size`, >= 1, in order."""
    return [entries[i : i + size] for i in range(0, len(entries), size)]


def by_kind(entries: Sequence[T], requests: Sequence[Request]) -> list[list[T]]:
    """Part entries so that each part can share one call of an adapter; order within a part is kept.

    Texts are generated with one set of settings a part; log-probabilities are asked apart from texts.
    """
    first = requests[0] if requests else None
    if all(r.generation is first.generation and r.continuation is None for r in requests if first is not None):
        return [list(entries)]
    parts: list[tuple[object, list[T]]] = []
    for entry, request in zip(entries, requests, strict=True):
        kind = kind_of(request)
        for known, part in parts:
            if known == kind:
                part.append(entry)
                break
        else:
            parts.append((kind, [entry]))
    return [part for _, part in parts]


def kind_of(request: Request) -> object:
    """What requests of one call have in common: their generation settings; None for log-probabilities."""
    return request.generation if request.continuation is None else None
