"""Media as a processor of transformers takes them: PIL images, frames of video, samples at its own rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_lmms.media.image import open_image, shrunk
from pytest_lmms.records import MediaRef

if TYPE_CHECKING:
    from pytest_lmms.media.frames import VideoFrames

UNKNOWN_FPS = 24.0
"""What transformers' processors take for a video whose file does not say its frames per second."""


def image(ref: MediaRef, *, max_side_px: int | None) -> Any:
    """Open an image; shrink it until its longer side is at most `max_side_px`."""
    opened = open_image(ref)
    return shrunk(opened, max_side_px) if max_side_px else opened


def clip(ref: MediaRef, *, max_frames: int, fps: float | None, max_side_px: int | None) -> VideoFrames:
    """Open a video and take at most `max_frames` frames, `fps` a second, or evenly where that is None."""
    from pytest_lmms.media.video import open_video  # numpy

    return open_video(ref, num_frames=max_frames, fps=fps, max_side_px=max_side_px)


def metadata(clip: VideoFrames) -> dict[str, Any]:
    """Describe frames that were chosen already, in the words of transformers' processors."""
    fps = clip.fps or UNKNOWN_FPS
    return {
        "total_num_frames": clip.total,
        "fps": fps,
        "duration": clip.duration_seconds or clip.total / fps,
        "frames_indices": [int(index) for index in clip.indices],
    }


def as_images(clip: VideoFrames) -> list[Any]:
    """Frames as PIL images."""
    from PIL import Image

    return [Image.fromarray(frame) for frame in clip.frames]


def samples(ref: MediaRef, *, rate: int) -> Any:
    """Open a sound as float32 (num_samples,), one channel, at `rate` samples per second."""
    from pytest_lmms.media.audio import open_audio  # numpy

    return open_audio(ref, rate)[0]
