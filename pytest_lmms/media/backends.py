"""A video backend by its name: imported when it is asked for, in this process or in one of its own."""

from __future__ import annotations

import importlib
from typing import Any

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.media import reader_process
from pytest_lmms.media.frames import VideoFrames, shrinker
from pytest_lmms.media.sampling import Sampling

BACKENDS = ("pyav", "torchcodec", "decord", "dali")
NEED_A_PATH = ("decord", "dali")
"""Those that read nothing but files and whole encoded ones."""
_NEED_A_PROCESS = ("decord", "dali")
_INSTALL = {
    "torchcodec": "pip install 'pytest-lmms[torchcodec]', and FFmpeg's libraries (Debian: apt install ffmpeg)",
    "decord": "pip install decord",
    "dali": "pip install nvidia-dali-cuda120 (or another build for your CUDA)",
}


def read(
    name: str,
    source: Any,
    sampling: Sampling,
    *,
    where: str,
    threads: int,
    max_side_px: int | None,
    limit_seconds: float,
) -> VideoFrames:
    """Have a backend read frames of a video.

    Args:
        name: One of `BACKENDS`.
        source: Path, encoded file, or open binary file.
        sampling: What to take.
        where: Names the source in errors.
        threads: Threads that decode, at least 1.
        max_side_px: Frames are made smaller, in proportion, until their longer side is at most this.
        limit_seconds: For backends that read in a process of their own; 0 is no limit.

    Raises:
        MediaError: It cannot be read.
        UsageError: The backend is not installed.
    """
    module = f"pytest_lmms.media._{name}"
    if name in _NEED_A_PROCESS:
        try:
            return reader_process.read(
                module, source, sampling,
                where=where, threads=threads, max_side_px=max_side_px, limit_seconds=limit_seconds,
            )  # fmt: skip
        except ImportError as e:
            raise _not_importable(name, e) from e
    try:
        reader = importlib.import_module(module)
    except (ImportError, RuntimeError, OSError) as e:  # torchcodec without FFmpeg's libraries: RuntimeError
        raise _not_importable(name, e) from e
    shape = None if max_side_px is None else shrinker(max_side_px)
    found: VideoFrames = reader.read(source, sampling, where=where, threads=threads, shape=shape)
    return found


def _not_importable(name: str, error: Exception) -> UsageError:
    reason = str(error).strip().split("\n")[0]
    return UsageError(explain(f"the video backend {name} cannot be imported: {reason}", remedy=_INSTALL.get(name)))
