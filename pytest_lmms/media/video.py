"""Videos as models want them: a few frames, RGB, upright, with the times at which they are shown.

`open_video` is what adapters call. `read_video` has lmms-eval's arguments, for task code and adapters written for it.
Which frames: `sampling`. How they are decoded: `_pyav` and its siblings, one a library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from pytest_lmms.errors import MediaError, UsageError, did_you_mean, explain
from pytest_lmms.media.frames import VideoFrames
from pytest_lmms.media.sampling import Sampling, frame_indices
from pytest_lmms.records import MediaRef

BACKEND_VARIABLE = "LMMS_VIDEO_DECODE_BACKEND"
BACKENDS = ("auto", "pyav")
MAX_THREADS = 8


def open_video(
    ref: MediaRef,
    *,
    num_frames: int | None = 8,
    fps: float | None = None,
    max_side_px: int | None = None,
    include_last: bool = False,
    backend: str | None = None,
) -> VideoFrames:
    """Read frames of a video.

    Args:
        ref: A video by path, by encoded bytes, or as an object: a uint8 array (num_frames, height, width, 3), of which
            frames are taken in the same way, or an open binary file.
        num_frames: How many frames, evenly from the first to the last; with `fps` the largest number. None: no limit.
        fps: Frames per second of video.
        max_side_px: Frames are made smaller, in proportion, until their longer side is at most this.
        include_last: Take the last frame in any case.
        backend: The library that decodes; None: LMMS_VIDEO_DECODE_BACKEND, else `pyav`.

    Returns:
        At least one frame. `frames` is uint8 (n, height, width, 3), read-only; n is at most `num_frames`.

    Raises:
        MediaError: It cannot be read; the message names file and reason.
        UsageError: Unknown backend.
    """
    sampling = Sampling(num_frames=num_frames, fps=fps, include_last=include_last)
    shape = None if max_side_px is None else _shrinker(max_side_px)
    if ref.content is not None and hasattr(ref.content, "shape"):
        return _from_array(ref.content, sampling, shape)
    source: Any = ref.data if ref.data is not None else ref.path if ref.path is not None else ref.content
    if source is None:
        raise MediaError(
            explain(
                "this video is only a web address",
                where=ref.url,
                remedy="download it, or use a model that takes addresses",
            )
        )
    where = ref.path or "video in memory"
    found = _reader(backend)(source, sampling, where=where, threads=num_threads(), shape=shape)
    found.frames.setflags(write=False)
    return found


def read_video(
    video_path: str | Sequence[str],
    *,
    num_frm: int = 8,
    fps: float | None = None,
    format: str = "rgb24",  # noqa: A002
    force_include_last_frame: bool = False,
    backend: str | None = None,
) -> Any:
    """Read frames of a video, with the arguments of lmms-eval's function of this name.

    Args:
        video_path: The file; of a list or tuple the first.
        num_frm: How many frames, evenly from the first to the last; with `fps` the largest number.
        fps: Frames per second of video.
        format: `rgb24`.
        force_include_last_frame: Take the last frame in any case.
        backend: As in `open_video`.

    Returns:
        uint8 (n, height, width, 3), writable, 1 <= n <= `num_frm`.

    Raises:
        MediaError: It cannot be read.
        UsageError: Unknown backend or format.
    """
    if format != "rgb24":
        raise UsageError(explain(f"frames as {format!r}", where="format", expected="rgb24"))
    path = os.fspath(video_path[0] if isinstance(video_path, (list, tuple)) else video_path)  # type: ignore[arg-type]
    ref = MediaRef(kind="video", path=path)
    found = open_video(ref, num_frames=num_frm, fps=fps, include_last=force_include_last_frame, backend=backend)
    return found.frames.copy()


read_video_pyav = read_video
"""The name that lmms-eval's function had before it had backends."""


def num_threads() -> int:
    """Threads that decode one video: the cores that this process may use, at most 8."""
    return min(MAX_THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _reader(backend: str | None) -> Callable[..., VideoFrames]:
    said = backend or os.environ.get(BACKEND_VARIABLE) or "pyav"
    if said not in BACKENDS:
        raise UsageError(
            explain(
                f"unknown video backend {said!r}",
                where="backend" if backend else BACKEND_VARIABLE,
                expected="one of " + ", ".join(BACKENDS),
                suggestion=did_you_mean(said, BACKENDS),
            )
        )
    from pytest_lmms.media import _pyav

    return _pyav.read


def _shrinker(max_side_px: int) -> Callable[[Any], Any]:
    """What makes a frame's longer side at most so many pixels."""

    def shape(frame: Any) -> Any:
        height, width = frame.shape[:2]
        if max(height, width) <= max_side_px:
            return frame
        import numpy as np
        import PIL.Image

        scale = max_side_px / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return np.asarray(PIL.Image.fromarray(frame).resize(size, PIL.Image.Resampling.BICUBIC))

    return shape


def _from_array(content: Any, sampling: Sampling, shape: Callable[[Any], Any] | None) -> VideoFrames:
    """Sample frames that are already decoded."""
    import numpy as np

    array = np.asarray(content)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or not array.size:
        raise MediaError(
            explain(
                f"an array of {array.dtype} {array.shape} is no video",
                expected="uint8 (num_frames, height, width, 3), at least one frame",
            )
        )
    indices = frame_indices(len(array), None, sampling)
    chosen = array[indices]
    frames = chosen if shape is None else np.stack([shape(f) for f in chosen])
    frames.setflags(write=False)
    return VideoFrames(
        frames=frames,
        timestamps=indices.astype(np.float64),
        indices=indices,
        fps=None,
        duration=None,
        total=len(array),
    )
