"""What reading a video gives: frames, and when each of them is shown; and how frames are made smaller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Outline:
    """What a container says about its video."""

    total: int
    """Number of frames."""
    fps: float | None
    """Average frames per second."""
    duration_seconds: float | None
    """Seconds."""


@dataclass(frozen=True, kw_only=True)
class VideoFrames:
    """Sampled frames of a video. Arrays may be shared between documents and are read-only."""

    frames: Any
    """uint8 (num_frames, height, width, 3), RGB, upright."""
    timestamps_seconds: Any
    """float64 (num_frames,): seconds from the video's first frame to each of these, ascending."""
    indices: Any
    """int64 (num_frames,): numbers of the frames in the video, from 0, ascending."""
    fps: float | None
    """The video's own average frames per second; None where the file does not say."""
    duration_seconds: float | None
    """Seconds of the whole video; None where the file does not say."""
    total: int
    """Frames that the whole video has."""
    num_replaced: int = 0
    """Wanted frames that could not be decoded; in their place stands what a player would show then: the last frame
    before them that could."""

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the frames take."""
        return int(self.frames.nbytes)

    def own(self, *, is_shared: bool) -> VideoFrames:
        """These frames in an array that may be written to: a copy where they are shared."""
        frames = self.frames
        try:
            frames.setflags(write=not is_shared)
        except ValueError:  # the memory is another library's
            is_shared = True
        return replace(self, frames=frames.copy() if is_shared else frames)


def shaped(frames: Any, shape: Callable[[Any], Any] | None) -> Any:
    """Apply a function to each frame of (n, height, width, 3); None leaves them as they are."""
    return frames if shape is None else np.stack([shape(f) for f in frames])


def shrinker(max_side_px: int) -> Callable[[Any], Any]:
    """Make a function that shrinks a frame (height, width, 3), in proportion, to a longer side of at most so many px.

    Bicubic over the area that a pixel covers, by PIL: the same pixels whatever library decoded.
    """

    def shape(frame: Any) -> Any:
        height, width = frame.shape[:2]
        if max(height, width) <= max_side_px:
            return frame
        import PIL.Image

        scale = max_side_px / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return np.asarray(PIL.Image.fromarray(frame).resize(size, PIL.Image.Resampling.BICUBIC))

    return shape
