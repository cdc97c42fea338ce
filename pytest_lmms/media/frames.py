"""What reading a video gives: frames, and when each of them is shown. Data and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class VideoFrames:
    """Sampled frames of a video. Arrays may be shared between documents and are read-only."""

    frames: Any
    """uint8 (num_frames, height, width, 3), RGB, upright."""
    timestamps: Any
    """float64 (num_frames,): seconds from the video's first frame to each of these, ascending."""
    indices: Any
    """int64 (num_frames,): numbers of the frames in the video, from 0, ascending."""
    fps: float | None
    """The video's own average frames per second; None where the file does not say."""
    duration: float | None
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
