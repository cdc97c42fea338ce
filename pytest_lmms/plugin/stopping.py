"""Ending a run from outside or by the clock, in a way that keeps what was recorded: like Ctrl-C, and saying why."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

_reason: list[str] = []
"""Why this process sends itself a signal; empty when the signal comes from elsewhere."""


def interrupt_on_sigterm() -> Any:
    """Treat SIGTERM (a preempted job) like Ctrl-C; returns what handled it before, None where it cannot be set."""

    def interrupt(_signal: int, _frame: Any) -> None:
        raise KeyboardInterrupt(_reason.pop() if _reason else "SIGTERM")

    try:
        return signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        return None


def time_limit(seconds: float | None, started: float) -> threading.Timer | None:
    """Interrupt this process when its time is up; `interrupt_on_sigterm` is in force.

    Args:
        seconds: Allowed since `started`; None allows any number.
        started: As `time.monotonic` tells.

    Returns:
        To be cancelled when the run has ended.
    """
    _reason.clear()
    if seconds is None:
        return None

    def end() -> None:
        _reason.append(f"--lmms-time-limit of {seconds:g} seconds; --lmms-resume goes on")
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(max(0.0, started + seconds - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    return timer


def reason_of(error: BaseException) -> str:
    """Why a loop was left, in a few words."""
    if isinstance(error, KeyboardInterrupt):  # what xdist raises is one, too, and says why
        return str(error) or "Ctrl-C (SIGINT)"
    return str(error).partition("\n")[0] or type(error).__name__


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back while results are written; obey afterwards."""
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        previous = [signal.signal(n, lambda number, _: caught.append(number)) for n in numbers]
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
        if caught and sys.exc_info()[0] is None:
            raise KeyboardInterrupt
