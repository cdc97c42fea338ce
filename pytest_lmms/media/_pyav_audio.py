"""Sound through PyAV: whatever FFmpeg reads, the sound of a video included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import av

from pytest_lmms.errors import MediaError, explain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mp3,aac,ac3,eac3,flac,ogg,wav,w64,aiff,caf,au,amr,asf,avi,flv,mpeg,mpegts,"
    "ape,tta,wv,dsf,voc"
)
"""What may be opened: files of sound, and no playlists, which would name other files."""
_ERRORS = (av.FFmpegError, OSError, ValueError, OverflowError, EOFError, IndexError)
_LACKING_SECONDS = 0.25
"""How much sooner than its header says a whole sound may end: encoders round to frames."""


def blocks(file: BinaryIO, where: str) -> tuple[Iterator[NDArray[np.float32]], int]:
    """Decode the first sound of a file.

    Args:
        file: The encoded file, at its beginning; open until the last block has been taken.
        where: Its name, for errors.

    Returns:
        Blocks of samples, float32, shape (num_samples,), the mean of all channels; and the rate in Hz.

    Raises:
        MediaError: It cannot be opened or has no sound; while blocks are taken: it is damaged or truncated.
    """
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        container = av.open(file, metadata_errors="ignore", options=options)
    except _ERRORS as error:
        raise _unreadable(where, _said(error)) from error
    sounds = container.streams.audio
    if not sounds or not sounds[0].codec_context:
        container.close()
        raise _unreadable(where, "it has no sound that can be decoded")
    rate = int(sounds[0].rate or 0)
    return _decode(container, sounds[0], where), rate


def _decode(container: Any, stream: Any, where: str) -> Iterator[NDArray[np.float32]]:
    num_samples = 0
    rate = int(stream.rate or 0)
    resampler = av.AudioResampler(format="fltp")
    try:
        with container:
            for frame in container.decode(stream):
                for plain in resampler.resample(frame):
                    samples = plain.to_ndarray()
                    num_samples += samples.shape[1]
                    yield samples[0] if len(samples) == 1 else samples.mean(axis=0)
            promised = _promised_seconds(container, stream)
    except _ERRORS as error:
        raise _unreadable(where, _said(error)) from error
    seconds = num_samples / rate if rate else 0.0
    if seconds < promised - _LACKING_SECONDS:
        raise _unreadable(where, f"it is truncated: {seconds:.2f} of {promised:.2f} seconds")


def _promised_seconds(container: Any, stream: Any) -> float:
    if stream.duration:
        return float(stream.duration * stream.time_base)
    # The file's own length is that of its longest stream, which need not be the sound.
    return 0.0 if container.streams.video else (container.duration or 0) / av.time_base


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _unreadable(where: str, reason: str) -> MediaError:
    return MediaError(explain(f"cannot be read as a sound: {reason}", where=where))
