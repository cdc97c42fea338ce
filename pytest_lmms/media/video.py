"""Videos as models want them: a few frames, RGB, upright, with the times at which they are shown.

`open_video` is what adapters call. `read_video` has lmms-eval's arguments, for task code and adapters written for it.
Which frames: `sampling`. How they are decoded: `_pyav` and its siblings, one a library.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pytest_lmms.errors import MediaError, UsageError, did_you_mean, explain
from pytest_lmms.media import backends, decodethreads
from pytest_lmms.media.backends import BACKENDS, NEED_A_PATH
from pytest_lmms.media.decodethreads import natural
from pytest_lmms.media.framecache import FrameCache
from pytest_lmms.media.frames import VideoFrames, shaped, shrinker
from pytest_lmms.media.lance_blob import LanceBlob
from pytest_lmms.media.notes import note
from pytest_lmms.media.reader_process import DEFAULT_LIMIT_SECONDS, LIMIT_VARIABLE
from pytest_lmms.media.references import digest
from pytest_lmms.media.sampling import Sampling, frame_indices
from pytest_lmms.media.videofile import is_safe_for_torchcodec, refuse_nothing, refuse_shortened
from pytest_lmms.records import MediaRef

BACKEND_VARIABLE = "LMMS_VIDEO_DECODE_BACKEND"
CACHE_MB_VARIABLE = "LMMS_VIDEO_CACHE_MB"
CACHE_DIR_VARIABLE = "LMMS_VIDEO_CACHE_DIR"
CACHE_DIR_MB_VARIABLE = "LMMS_VIDEO_CACHE_DIR_MB"
DEFAULT_CACHE_MB = 512
DEFAULT_CACHE_DIR_MB = 20_000

Kept = Callable[[str, Callable[[], VideoFrames]], VideoFrames]
"""Gives the frames of a key, which the function makes where they are nowhere kept."""

AUTO = "pyav"
"""What `auto` means: the quickest backend in all groups of `make bench-media`; docs/videos.md has the table."""


def open_video(
    ref: MediaRef,
    *,
    num_frames: int | None = 8,
    fps: float | None = None,
    max_side_px: int | None = None,
    include_last: bool = False,
    backend: str | None = None,
    leaves_no_trace: bool = False,
) -> VideoFrames:
    """Read frames of a video.

    Args:
        ref: A video by path, by encoded bytes, or as an object: a uint8 array (num_frames, height, width, 3), of which
            frames are taken in the same way, an open binary file, or a `LanceBlob`.
        num_frames: How many frames, evenly from the first to the last; with `fps` the largest number. None: no limit.
        fps: Frames per second of video.
        max_side_px: Frames are made smaller, in proportion, until their longer side is at most this.
        include_last: Take the last frame in any case.
        backend: The library that decodes; None: LMMS_VIDEO_DECODE_BACKEND, else `pyav`.
        leaves_no_trace: Neither take frames from the cache nor put them there, in memory or on disk.

    Returns:
        At least one frame. `frames` is uint8 (n, height, width, 3), read-only; n is at most `num_frames`.

    Raises:
        MediaError: It cannot be read; the message names file and reason.
        UsageError: Unknown backend.
    """
    sampling = Sampling(
        num_frames=num_frames,
        fps=fps,
        include_last=include_last,
        start_seconds=ref.start_seconds,
        end_seconds=ref.end_seconds,
    )

    def kept(key: str, make: Callable[[], VideoFrames]) -> VideoFrames:
        return make() if leaves_no_trace else _cache().get(key, make)

    return _noted(_found(ref, sampling, max_side_px, backend, kept))


def _noted(found: VideoFrames) -> VideoFrames:
    """The same, told to the record where frames were replaced."""
    if found.num_replaced:
        note(f"video_frames_replaced:{found.num_replaced}")
    return found


def _found(ref: MediaRef, sampling: Sampling, max_side_px: int | None, backend: str | None, kept: Kept) -> VideoFrames:
    """Read frames, or have `kept` take them from where they are kept."""
    content = ref.content
    if content is not None and hasattr(content, "shape"):
        return _from_array(content, sampling, max_side_px)
    name = _backend(backend)
    if isinstance(content, LanceBlob):
        key = repr((digest(ref), sampling, max_side_px, name))
        return kept(key, lambda: _read_blob(name, content, sampling, max_side_px))
    if content is not None:
        name = _reader_for(name, content)
        return _read(name, content, "video in memory", sampling, max_side_px)
    if ref.data is None and ref.path is None:
        raise MediaError(
            explain(
                "this video is only a web address",
                where=ref.url,
                remedy=ref.remedy or "download it, or use a model that takes addresses",
            )
        )
    where = ref.path or "video in memory"
    source: Any = ref.path if ref.data is None else ref.data
    refuse_nothing(source, where)
    name = _reader_for(name, source)
    key = repr((digest(ref), sampling, max_side_px, name))
    return kept(key, lambda: _read(name, source, where, sampling, max_side_px))


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
    sampling = Sampling(num_frames=num_frm, fps=fps, include_last=force_include_last_frame)
    own = functools.partial(_cache().get, is_own=True)
    return _noted(_found(MediaRef(kind="video", path=path), sampling, None, backend, own)).frames


read_video_pyav = read_video
"""The name that lmms-eval's function had before it had backends."""


def _backend(backend: str | None) -> str:
    """The backend asked for, by argument or environment."""
    said = backend or os.environ.get(BACKEND_VARIABLE) or AUTO
    if said == "auto":
        return AUTO
    if said not in BACKENDS:
        raise UsageError(
            explain(
                f"unknown video backend {said!r}",
                where="backend" if backend else BACKEND_VARIABLE,
                expected="one of " + ", ".join([*BACKENDS, "auto"]),
                suggestion=did_you_mean(said, BACKENDS),
            )
        )
    return said


def _reader_for(name: str, source: Any) -> str:
    """The backend that reads this file: PyAV in place of TorchCodec where a damaged one could end the process."""
    if name != "torchcodec" or is_safe_for_torchcodec(source):
        return name
    note("video_backend:pyav")
    return "pyav"


def _read(name: str, source: Any, where: str, sampling: Sampling, max_side_px: int | None) -> VideoFrames:
    """Have a backend read frames of a file that is not known to be cut."""
    refuse_shortened(source, where)
    limit = natural(LIMIT_VARIABLE)
    with decodethreads.taken(name) as threads:
        found = backends.read(
            name, source, sampling, where=where, threads=threads, max_side_px=max_side_px,
            limit_seconds=DEFAULT_LIMIT_SECONDS if limit is None else limit,
        )  # fmt: skip
    found.frames.setflags(write=False)
    return found


def _read_blob(name: str, blob: LanceBlob, sampling: Sampling, max_side_px: int | None) -> VideoFrames:
    """Have a backend read out of a Lance dataset, through a file where it needs one."""
    where = f"{blob.uri}: {blob.key}"
    if name in NEED_A_PATH:
        return _read(name, blob.file(), where, sampling, max_side_px)
    with blob.open() as file:
        return _read(_reader_for(name, file), file, where, sampling, max_side_px)


def _cache() -> FrameCache:
    """The cache that the environment asks for; one a process, until the environment says otherwise."""
    kept, folder, in_folder = (
        natural(CACHE_MB_VARIABLE),
        os.environ.get(CACHE_DIR_VARIABLE),
        natural(CACHE_DIR_MB_VARIABLE),
    )
    return _cache_of(
        DEFAULT_CACHE_MB if kept is None else kept,
        folder or None,
        DEFAULT_CACHE_DIR_MB if in_folder is None else in_folder,
    )


@functools.lru_cache(maxsize=1)
def _cache_of(num_mb: int, folder: str | None, num_mb_in_folder: int) -> FrameCache:
    return FrameCache(
        num_mb * 1_000_000,
        folder=Path(folder).expanduser() if folder else None,
        max_folder_bytes=num_mb_in_folder * 1_000_000,
    )


def _from_array(content: Any, sampling: Sampling, max_side_px: int | None) -> VideoFrames:
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
    frames = shaped(array[indices], None if max_side_px is None else shrinker(max_side_px))
    frames.setflags(write=False)
    return VideoFrames(
        frames=frames,
        timestamps_seconds=indices.astype(np.float64),
        indices=indices,
        fps=None,
        duration_seconds=None,
        total=len(array),
    )
