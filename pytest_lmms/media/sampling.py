"""Which frames of a video are looked at: pure arithmetic on frame numbers.

Every reader asks here, so that all of them choose the same frames. The rule is lmms-eval's: evenly from the first to
the last frame, both included, positions cut to whole numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_lmms.errors import MediaError, explain


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """What to take of a video."""

    num_frames: int | None = 8
    """The number of frames; with `fps` the largest number. None: no limit, and without `fps` every frame."""
    fps: float | None = None
    """Frames per second of video; None takes `num_frames` evenly."""
    include_last: bool = False
    """Take the last frame in any case."""
    start_seconds: float | None = None
    """Where the part looked at begins; None is the beginning."""
    end_seconds: float | None = None
    """Where it ends, included; None is the end."""

    @property
    def needs_rate(self) -> bool:
        """Whether the choice depends on the video's frames per second.

        Libraries have different notions of it where the rate varies: all readers use the container's average then.
        """
        return (self.fps, self.start_seconds, self.end_seconds) != (None, None, None)

    def __post_init__(self) -> None:
        """Refuse what can choose no frame."""
        if self.num_frames is not None and self.num_frames < 1:
            raise MediaError(explain(f"{self.num_frames} frames of a video", expected="1 or more"))
        if self.fps is not None and not self.fps > 0:
            raise MediaError(explain(f"{self.fps} frames per second", expected="more than 0"))
        start, end = self.start_seconds, self.end_seconds
        if start is not None and not (math.isfinite(start) and start >= 0):
            raise MediaError(explain(f"a part of a video that begins at {start} s", expected="0 s or later"))
        if end is not None and not end >= (start or 0.0):
            raise MediaError(explain(f"a part of a video from {start or 0.0} s to {end} s", expected="an end after it"))


def frame_indices(total: int, source_fps: float | None, sampling: Sampling) -> Any:
    """Choose frames.

    Args:
        total: Frames that the video has, at least 1.
        source_fps: Frames per second of the video; None where the file does not say, which leaves `fps` and the limits
            in seconds without effect.
        sampling: What to take.

    Returns:
        Frame numbers from 0, int64 (n,), ascending, each once; 1 <= n <= total.

    Raises:
        MediaError: The part looked at lies behind the end of the video.
    """
    first, last = _part(total, source_fps, sampling)
    length = last - first + 1
    wanted = length
    if sampling.fps is not None and source_fps:
        wanted = int(length / source_fps * sampling.fps)
    if sampling.num_frames is not None:
        wanted = min(wanted, sampling.num_frames)
    wanted = max(1, min(length, wanted))
    chosen = np.linspace(0, length - 1, wanted).astype(np.int64)
    if sampling.include_last and chosen[-1] != length - 1:
        if wanted == 1:
            chosen = np.array([length - 1])
        else:
            chosen = np.append(np.linspace(0, length - 2, wanted - 1).astype(np.int64), length - 1)
    return np.unique(chosen) + first


def _part(total: int, source_fps: float | None, sampling: Sampling) -> tuple[int, int]:
    """First and last frame number of the part looked at."""
    if not source_fps:
        return 0, total - 1
    first = math.ceil((sampling.start_seconds or 0.0) * source_fps - 1e-6)
    if first >= total:
        raise MediaError(
            explain(
                f"a part of a video that begins at {sampling.start_seconds} s",
                expected=f"before its end at {total / source_fps:.2f} s",
            )
        )
    if sampling.end_seconds is None or sampling.end_seconds * source_fps >= total:
        return first, total - 1
    return first, max(first, math.floor(sampling.end_seconds * source_fps + 1e-6))
