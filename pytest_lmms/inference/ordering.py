"""In which order waiting requests are asked: those that begin alike together. PURE; opens no media."""

from __future__ import annotations

import hashlib
import heapq
from typing import Generic, TypeVar

from pytest_lmms.records import MediaRef, Request

BLOCK = 256
"""Positions within which the order may change; requests of an earlier block never wait for a later one."""

T = TypeVar("T")


class Queue(Generic[T]):
    """Requests that wait, and what came with each."""

    def __init__(self, characters: int | None) -> None:
        """Start empty.

        Args:
            characters: How much of a request's beginning counts; None keeps the order of arrival.
        """
        self._characters = characters
        self._heap: list[tuple[int, bytes, int, T]] = []
        self._num_put = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._heap)

    def put(self, item: T, request: Request, position: int) -> None:
        """Let one wait.

        Args:
            item: Given back by `take`.
            request: What is to be asked.
            position: Its document's place in the task.
        """
        self._num_put += 1
        if self._characters is None:
            key = (0, b"")
        else:
            key = (position // BLOCK, prefix_digest(request, self._characters))
        heapq.heappush(self._heap, (*key, self._num_put, item))

    def take(self) -> T:
        """The next one: of the earliest block, beside those that begin like it, the first that came.

        Raises:
            IndexError: None waits.
        """
        return heapq.heappop(self._heap)[-1]


def prefix_digest(request: Request, characters: int) -> bytes:
    """A digest of how a request begins; the same for requests that begin alike.

    Args:
        request: Its texts count, and its media by what refers to them; nothing is opened.
        characters: How much counts. A medium counts as one character.
    """
    digest = hashlib.blake2b(digest_size=8)
    left = characters
    for message in request.messages:
        digest.update(message.role.encode() + b"\0")
        for part in message.content:
            if left <= 0:
                return digest.digest()
            if isinstance(part, str):
                digest.update(part[:left].encode("utf-8", "surrogatepass"))
                left -= len(part)
            else:
                digest.update(_reference(part))
                left -= 1
    return digest.digest()


def _reference(ref: MediaRef) -> bytes:
    """What tells media apart without reading them: an address, a path, or the beginning and size of bytes."""
    if ref.data is not None:
        return b"%s\0%d\0" % (ref.kind.encode(), len(ref.data)) + ref.data[:64] + ref.data[-64:]
    return f"{ref.kind}\0{ref.url or ref.path or id(ref.content)}".encode("utf-8", "surrogatepass")
