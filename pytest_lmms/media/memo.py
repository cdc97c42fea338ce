"""Work done once for all who ask at the same time, and kept while there is room. Knows nothing of media."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Memo(Generic[T]):
    """Values by key, the least recently used dropped first; safe for threads."""

    def __init__(self, *, max_bytes: int, size_of: Callable[[T], int]) -> None:
        """Make an empty one.

        Args:
            max_bytes: Of all values that are kept; a value above it is made and not kept.
            size_of: A value's size in bytes.
        """
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._making: dict[Hashable, Future[T]] = {}
        self._num_bytes = 0

    def get(self, key: Hashable, make: Callable[[], T], *, max_items: int) -> T:
        """The value of a key; made if need be, by one thread while others wait.

        Args:
            key: Of the value.
            make: Makes it. What it raises, all who wait see, and the next to ask tries again.
            max_items: Values that are kept after this; 0 keeps none.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            future = self._making.get(key)
            is_mine = future is None
            if future is None:
                future = self._making[key] = Future()
        if not is_mine:
            return future.result()
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            future.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._keep(key, value, max_items)
        future.set_result(value)
        return value

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._kept.clear()
            self._num_bytes = 0

    def _keep(self, key: Hashable, value: T, max_items: int) -> None:
        size = self._size_of(value)
        if size <= self._max_bytes and max_items > 0:
            self._kept[key] = value
            self._num_bytes += size
        while self._kept and (self._num_bytes > self._max_bytes or len(self._kept) > max_items):
            self._num_bytes -= self._size_of(self._kept.popitem(last=False)[1])
