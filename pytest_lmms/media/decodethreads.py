"""With how many threads a video is decoded: what the environment says, else the cores, shared by all at once."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from pytest_lmms.errors import UsageError, explain

_MAX_THREADS = 8
_VARIABLES = {
    "pyav": ("LMMS_VIDEO_PYAV_THREADS", _MAX_THREADS),
    "torchcodec": ("LMMS_VIDEO_TORCHCODEC_THREADS", _MAX_THREADS),
    "decord": ("LMMS_VIDEO_DECORD_THREADS", 2),
    "dali": ("LMMS_VIDEO_DALI_THREADS", 2),
}
"""By backend: the environment variable for its threads, and how many there are, cores permitting, without it."""


class _Readings:
    """Videos that are being read in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.num = 0


_READINGS = _Readings()


@contextlib.contextmanager
def taken(backend: str) -> Iterator[int]:
    """Give the number of threads for one more video, which is being read until the context ends.

    PyAV's readings share the cores, unless its variable says a number: the decoders of one video wait for one another.
    Six videos at once on two cores took 0.37 s of processor time with one thread each, and 0.41 s with two. Pixels do
    not depend on it.

    Raises:
        UsageError: The variable holds no whole number.
    """
    variable, most = _VARIABLES[backend]
    is_shared = backend == "pyav" and not natural(variable)
    with _READINGS.lock:
        _READINGS.num += 1
        num_readings = _READINGS.num
    try:
        yield max(1, min(most, num_cores() // num_readings)) if is_shared else num_threads(backend)
    finally:
        with _READINGS.lock:
            _READINGS.num -= 1


def num_threads(backend: str) -> int:
    """Threads with which a backend decodes one video, while no other is being read.

    Returns:
        What its environment variable says (LMMS_VIDEO_PYAV_THREADS, LMMS_VIDEO_TORCHCODEC_THREADS,
        LMMS_VIDEO_DECORD_THREADS, LMMS_VIDEO_DALI_THREADS), else 8 (PyAV, TorchCodec) or 2, at most the cores that this
        process may use.

    Raises:
        UsageError: The variable holds no whole number.
    """
    variable, most = _VARIABLES[backend]
    return natural(variable) or min(most, num_cores())


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def natural(variable: str) -> int | None:
    """The whole number in an environment variable; None where it is not set.

    Raises:
        UsageError: It holds something else.
    """
    said = os.environ.get(variable) or None
    if said is not None and not said.strip().isdecimal():
        raise UsageError(explain(f"{said!r}", where=variable, expected="a whole number from 0"))
    return None if said is None else int(said)
