"""Media as a processor of transformers takes them: PIL images, clips of frames, samples at its own rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.media.audio import read_audio
from pytest_lmms.media.image import open_image
from pytest_lmms.records import MediaRef


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames of a video."""

    frames: Any
    """uint8 array (num_frames, height, width, 3)."""
    indices: tuple[int, ...]
    """Place of each frame in the video it was taken from."""
    fps: float
    """Frames per second of that video."""
    total_frames: int

    @property
    def metadata(self) -> dict[str, Any]:
        """What transformers wants to know about a video whose frames were chosen already."""
        return {
            "total_num_frames": self.total_frames,
            "fps": self.fps,
            "duration": self.total_frames / self.fps,
            "frames_indices": list(self.indices),
        }


UNKNOWN_FPS = 1.0
"""Frames that come as an array say nothing of time; they are taken as one a second."""


def image(ref: MediaRef, *, max_size: int | None) -> Any:
    """Open an image; shrink it until its longer side is `max_size` pixels."""
    opened = open_image(ref)
    if max_size and max(opened.size) > max_size:
        opened = opened.copy()
        opened.thumbnail((max_size, max_size))
    return opened


def clip(ref: MediaRef, *, max_frames: int, fps: float | None) -> Clip:
    """Open a video and take frames from it.

    Args:
        ref: A file, its bytes, or an array (num_frames, height, width, 3).
        max_frames: Frames at most; at least 1.
        fps: Frames taken per second; None takes `max_frames` evenly.

    Raises:
        MediaError: It cannot be read.
    """
    if ref.content is None:
        return _decoded(ref, max_frames=max_frames, fps=fps)
    import numpy as np

    frames = np.asarray(ref.content)
    if frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise MediaError(
            explain(
                f"an array of shape {frames.shape} is no video",
                expected="uint8 of shape (num_frames, height, width, 3)",
            )
        )
    chosen = evenly(len(frames), max_frames)
    return Clip(frames=frames[chosen], indices=tuple(chosen), fps=UNKNOWN_FPS, total_frames=len(frames))


def evenly(total: int, wanted: int) -> list[int]:
    """Return up to `wanted` of `total` places, evenly spread, the first and the last among them."""
    if total <= wanted:
        return list(range(total))
    if wanted == 1:
        return [0]
    return [int(place * (total - 1) / (wanted - 1)) for place in range(wanted)]


def _decoded(ref: MediaRef, *, max_frames: int, fps: float | None) -> Clip:
    raise MediaError(explain("this adapter takes videos as arrays of frames", where=str(ref.path or ref.url or "")))


def samples(ref: MediaRef, *, rate: int) -> Any:
    """Open a sound as float32 (num_samples,), one channel, at `rate` samples per second.

    Raises:
        MediaError: It cannot be read.
    """
    import numpy as np

    if ref.content is not None:
        array, own_rate = np.asarray(ref.content["array"], dtype=np.float32), int(ref.content["sampling_rate"])
        if array.ndim == 2:
            array = array.mean(axis=int(array.shape[0] > array.shape[1]))
    elif ref.data is not None or ref.path is not None:
        array, own_rate = read_audio(ref.data if ref.data is not None else str(ref.path))
    else:
        raise MediaError(explain("a sound behind an address cannot be opened here", where=str(ref.url)))
    return resampled(array, own_rate, rate)


def resampled(array: Any, own_rate: int, rate: int) -> Any:
    """Change a sound's sampling rate with a polyphase filter; the same rate changes nothing."""
    if own_rate == rate:
        return array
    from math import gcd

    import numpy as np
    from scipy.signal import resample_poly

    common = gcd(own_rate, rate)
    return resample_poly(array, rate // common, own_rate // common).astype(np.float32)


def as_images(clip: Clip) -> Sequence[Any]:
    """Frames as PIL images."""
    from PIL import Image

    return [Image.fromarray(frame) for frame in clip.frames]
