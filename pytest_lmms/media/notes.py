"""What was done to media on their way to a model and a record should say: an image made smaller, for instance.

Functions deep below an adapter write notes; the adapter collects them around its preparation, which may run on another
thread (`asyncio.to_thread` takes the collection along), and puts them into `Response.flags`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_collected: ContextVar[list[str] | None] = ContextVar("pytest_lmms_media_notes", default=None)


def note(flag: str) -> None:
    """Write a note; lost where nobody collects. A note that is there already is not written again."""
    collected = _collected.get()
    if collected is not None and flag not in collected:
        collected.append(flag)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Collect the notes that are written inside; the list fills as they come."""
    flags: list[str] = []
    token = _collected.set(flags)
    try:
        yield flags
    finally:
        _collected.reset(token)
