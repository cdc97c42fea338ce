"""What several coroutines want to know is asked once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class AsyncMemo(Generic[T]):
    """Keeps what was found, and lets those who ask meanwhile wait for it; a failure is forgotten."""

    def __init__(self, *, most: int) -> None:
        """Remember nothing yet.

        Args:
            most: Answers that are kept; the oldest goes first.
        """
        self._most = most
        self._known: OrderedDict[Hashable, asyncio.Future[T]] = OrderedDict()

    async def get(self, key: Hashable, find: Callable[[], Awaitable[T]]) -> T:
        """What `find` returns, or returned before for that key.

        Raises:
            Exception: What `find` raises.
        """
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = asyncio.ensure_future(find())
            found.add_done_callback(lambda done: self._forget(key, done))
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return await asyncio.shield(found)  # one who gives up does not take it from the others

    def _forget(self, key: Hashable, done: asyncio.Future[T]) -> None:
        if (done.cancelled() or done.exception() is not None) and self._known.get(key) is done:
            del self._known[key]
