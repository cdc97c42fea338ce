"""Sampled frames, kept: documents that ask about one video have it decoded once, even at the same time.

In memory up to a number of bytes, the least recently used going first; on request also in a folder that processes
share. Knows no decoder: what is not there is made by the function that comes with the question.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from pytest_lmms.media.frames import VideoFrames

_NUMBERS = ("fps", "duration_seconds", "total", "num_replaced")


class FrameCache:
    """Frames by key. Safe on several threads; the folder is safe for several processes."""

    def __init__(self, max_bytes: int, *, folder: Path | None = None, max_folder_bytes: int = 0) -> None:
        """Set up an empty cache.

        Args:
            max_bytes: Memory that kept frames may take; 0 keeps none, and documents in flight still share.
            folder: Where frames are kept on disk as well; None: nowhere.
            max_folder_bytes: What they may take there; the oldest go first.
        """
        self._max_bytes, self._folder, self._max_folder_bytes = max_bytes, folder, max_folder_bytes
        self._kept: OrderedDict[str, VideoFrames] = OrderedDict()
        self._pending: dict[str, Future[VideoFrames]] = {}
        self._waited_for: set[str] = set()
        self._lock = threading.Lock()
        self.num_bytes = 0
        """Memory that kept frames take."""
        self.num_made = 0
        """How often frames had to be made."""

    def get(self, key: str, make: Callable[[], VideoFrames], *, is_own: bool = False) -> VideoFrames:
        """Return what is kept under a key, or make it; whoever asks while it is being made waits for it.

        Args:
            key: What was asked for.
            make: Makes it.
            is_own: Give frames that the caller may write to: a copy, unless nobody else has them.

        Raises:
            Exception: What `make` raised, to everyone who waited for it; the next to ask makes it again.
        """
        found, is_shared = self._get(key, make)
        return found.own(is_shared=is_shared) if is_own else found

    def _get(self, key: str, make: Callable[[], VideoFrames]) -> tuple[VideoFrames, bool]:
        """What `get` returns, and whether anybody else has it."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found, True
            future = self._pending.get(key)
            if future is None:
                mine = self._pending[key] = Future()
            else:
                self._waited_for.add(key)
        if future is not None:
            return future.result(), True
        try:
            made = self._make(key, make)
        except BaseException as e:
            with self._lock:
                self._end(key)
            mine.set_exception(e)
            raise
        with self._lock:
            is_kept = self._keep(key, made)
            is_shared = self._end(key) or is_kept
        mine.set_result(made)
        return made, is_shared

    def _end(self, key: str) -> bool:
        """Forget what was being made; whether anybody waits for it."""
        del self._pending[key]
        has_waiting = key in self._waited_for
        self._waited_for.discard(key)
        return has_waiting

    def _keep(self, key: str, made: VideoFrames) -> bool:
        """Keep frames, or not where they are too large."""
        if made.nbytes > self._max_bytes:
            return False
        self._kept[key] = made
        self.num_bytes += made.nbytes
        while self.num_bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self.num_bytes -= dropped.nbytes
        return True

    def _make(self, key: str, make: Callable[[], VideoFrames]) -> VideoFrames:
        if self._folder is None:
            self.num_made += 1
            return make()
        from filelock import FileLock

        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / (hashlib.blake2b(key.encode(), digest_size=16).hexdigest() + ".npz")
        if (found := _load(path)) is not None:
            return found
        with FileLock(path.with_suffix(".lock")):
            if (found := _load(path)) is not None:
                return found
            self.num_made += 1
            made = make()
            _save(path, made)
        _prune(self._folder, self._max_folder_bytes)
        return made


def _load(path: Path) -> VideoFrames | None:
    """Read frames from a file; None where there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            numbers = [None if np.isnan(v) else float(v) for v in file["numbers"]]
            frames, timestamps, indices = file["frames"], file["timestamps_seconds"], file["indices"]
        os.utime(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    frames.setflags(write=False)
    fps, duration, total, num_replaced = numbers
    return VideoFrames(
        frames=frames,
        timestamps_seconds=timestamps,
        indices=indices,
        fps=fps,
        duration_seconds=duration,
        total=int(total or 0),
        num_replaced=int(num_replaced or 0),
    )


def _save(path: Path, made: VideoFrames) -> None:
    """Write frames to a file that is whole or not there; a full disk leaves it out."""
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    numbers = [np.nan if (v := getattr(made, name)) is None else float(v) for name in _NUMBERS]
    try:
        with unfinished.open("wb") as file:
            np.savez(
                file,
                frames=made.frames,
                timestamps_seconds=made.timestamps_seconds,
                indices=made.indices,
                numbers=np.array(numbers),
            )
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)


def _prune(folder: Path, max_bytes: int) -> None:
    """Remove the files that have not been used for longest until the rest fits."""
    known: list[tuple[float, int, Path]] = []
    for path in folder.glob("*.npz"):
        try:
            status = path.stat()
        except OSError:
            continue
        known.append((status.st_mtime, status.st_size, path))
    excess = sum(size for _, size, _ in known) - max_bytes
    for _, size, path in sorted(known):
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= size
