"""The array into which PyAV's decoded frames go, in whatever order and by whichever thread."""

from __future__ import annotations

import contextlib
import math
import mmap
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from pytest_lmms.media._pyav_open import new_reformatter, one_thread

MAX_BYTES_IN_HUGE_PAGES = 512_000_000
"""Larger arrays of frames are in pages of the usual size."""


class Canvas:
    """Frames as RGB, by slot; one size for all of them, that of the first that came."""

    def __init__(self, num_slots: int, shape: Callable[[Any], Any] | None) -> None:
        """Have so many slots; `shape` makes a frame smaller."""
        self._shape = shape
        self._lock = threading.Lock()
        self._local = threading.local()
        self._frames: Any = None
        self._size: tuple[int, int] | None = None
        self._rotation = 0
        self.filled = [False] * num_slots
        self.times: list[int | None] = [None] * num_slots
        """When the frame in each slot is shown, in ticks."""
        self.is_mixed = False
        """Whether frames had several sizes."""

    def put(self, slot: int, frame: Any) -> None:
        """Put a frame's pixels where they belong; a size that changes in mid-stream becomes the first."""
        if frame.rotation % 360:  # only the stream's own decoder knows
            self._rotation = frame.rotation % 360
        rgb = self._reformatter.reformat(frame, *self._size_for(frame), format="rgb24", **one_thread())
        plane: Any = rgb.planes[0]
        rows = np.frombuffer(plane, np.uint8, count=rgb.height * plane.line_size).reshape(rgb.height, plane.line_size)
        pixels = rows[:, : rgb.width * 3].reshape(rgb.height, rgb.width, 3)
        if self._shape is not None:
            pixels = self._shape(pixels)
        with self._lock:
            if self._frames is None:
                self._frames = _new_array((len(self.filled), *pixels.shape))
        self._frames[slot] = pixels
        self.times[slot] = frame.pts
        self.filled[slot] = True

    @contextlib.contextmanager
    def putting(self, num_helpers: int) -> Iterator[Callable[[int, Any], None]]:
        """Give a `put` that leaves the work to so many threads, while the one that decodes goes on.

        Twice as many frames wait at most; all are in their places when the context ends.
        """
        waiting: deque[Future[None]] = deque()
        with ThreadPoolExecutor(num_helpers) as helpers:

            def put(slot: int, frame: Any) -> None:
                if len(waiting) >= 2 * num_helpers:
                    waiting.popleft().result()
                waiting.append(helpers.submit(self.put, slot, frame))

            yield put
            for one in waiting:
                one.result()

    def clear(self) -> None:
        """Empty all slots; the next frame decides the size."""
        self._frames = self._size = None
        self.filled = [False] * len(self.filled)

    @property
    def upright(self) -> Any:
        """All frames, uint8 (num_slots, height, width, 3), turned as a player shows them."""
        if not self._rotation:
            return self._frames
        return np.ascontiguousarray(np.rot90(self._frames, self._rotation // 90, axes=(1, 2)))

    @property
    def _reformatter(self) -> Any:
        """One a thread: it keeps what it worked out for a size."""
        if not hasattr(self._local, "reformatter"):
            self._local.reformatter = new_reformatter()
        return self._local.reformatter

    def _size_for(self, frame: Any) -> tuple[int, int]:
        """Width and height that all frames get: those of the first that was decoded."""
        size = frame.width, frame.height
        with self._lock:
            if self._size is None:
                self._size = size
            self.is_mixed = self.is_mixed or size != self._size
            return self._size


def _new_array(shape: tuple[int, ...]) -> Any:
    """An array of uint8, as yet in no memory: each page comes there with the first that is written to it.

    NumPy asks for huge pages. In memory that was in use before, they cost 0.15 ms a MB, usual ones 1 ms. In memory that
    a virtual machine has yet to get from its host, they cost 2 ms, usual ones 1 ms; large arrays are mostly in such.
    """
    size = math.prod(shape)
    if size <= MAX_BYTES_IN_HUGE_PAGES:
        return np.empty(shape, np.uint8)
    try:
        return np.frombuffer(mmap.mmap(-1, size), np.uint8).reshape(shape)
    except OSError as e:
        raise MemoryError(f"{size:,} bytes of frames: {e}") from e
