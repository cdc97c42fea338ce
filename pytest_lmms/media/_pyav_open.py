"""PyAV's containers and decoders, opened with limits: formats, errors, threads of a conversion."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator, Sequence
from typing import Any

import av
from av.video.reformatter import VideoReformatter

from pytest_lmms.errors import MediaError, explain

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,obu,ivf,asf,ogg,gif,rm,mxf,"
    "nut,wtv,dv,yuv4mpegpipe,mjpeg"
)
"""Containers that are opened. Left out are those that FFmpeg reads from text and those that name other files
or addresses (playlists, descriptions, `concat`)."""

Source = str | bytes | Any


@contextlib.contextmanager
def reporting(where: str) -> Iterator[None]:
    """Turn errors of PyAV into ours."""
    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError, EOFError, IndexError) as e:  # IndexError: a stream went away
        raise MediaError(explain(f"cannot be read as a video: {reason(e)}", where=where)) from e


def opened(source: Source) -> Any:
    """Open a path, an encoded file or an open binary file; raises what `reporting` turns into ours."""
    file = io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(file, metadata_errors="ignore", options=options)
    except av.error.ArgumentError as e:  # what FFmpeg says of a format that is not in the list
        raise ValueError(
            "its format is none of the video containers that are opened (sound, picture, playlist?)"
        ) from e


def reason(error: Exception) -> str:
    """What an error says, else its type."""
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def new_reformatter() -> Any:
    """Make what turns frames into RGB; it is for one thread at a time."""
    return VideoReformatter()


@functools.cache
def one_thread() -> dict[str, int]:
    """Have a reformatter use one thread, where it can be told: starting threads for a frame doubles its cost."""
    try:
        VideoReformatter().reformat(av.VideoFrame(2, 2, "yuv420p"), format="rgb24", threads=1)
    except TypeError:
        return {}
    return {"threads": 1}


def decoded(context: Any, packet: Any) -> Sequence[Any]:
    """Frames that come out when a packet goes in; none when it is damaged."""
    try:
        return context.decode(packet)  # type: ignore[no-any-return]
    except (av.error.InvalidDataError, av.error.EOFError):
        return ()
