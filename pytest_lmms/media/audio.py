"""Sounds to samples: one channel of float32 at the rate that a model wants.

libsndfile reads WAV, FLAC, OGG, MP3 and AIFF; what it does not know (M4A, AAC, WebM, the sound of a video) PyAV reads.
A sound that ends before its own header says is an error, not a shorter sound. Knows no task and no model.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.media import wholeness
from pytest_lmms.media.files import check_regular
from pytest_lmms.media.kinds import is_mpeg_audio
from pytest_lmms.media.lance_blob import loaded
from pytest_lmms.media.lazy_audio import LazyAudio
from pytest_lmms.records import MediaRef

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATES_HZ = (1_000, 768_000)
"""Sampling rates that a sound may have; a damaged header says anything."""
MAX_SAMPLES = 1 << 29
"""Of one channel: 3 hours at 48 kHz, 2 GiB. More is refused, not read."""
_BLOCK_SAMPLES = 1 << 20
_SNDFILE = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b".snd")


def open_audio(ref: MediaRef, rate: int | None = 16000) -> tuple[NDArray[np.float32], int]:
    """Open a sound as models want it.

    Args:
        ref: A sound by path, by encoded bytes or as an object (``{"array", "sampling_rate"}`` with an array of
            (num_samples,) or (num_channels, num_samples), ``{"bytes", "path"}``, or a decoder of torchcodec). A video
            gives its sound.
        rate: Wanted sampling rate in Hz, 1,000 to 768,000; None leaves the sound's own.

    Returns:
        Samples, float32, shape (num_samples,), the mean of all channels, -1 to 1 for sounds stored as whole numbers;
        and their rate in Hz. Silence is zeros.

    Raises:
        MediaError: Missing, a folder, empty, truncated, no sound, of an impossible rate or length, with samples that
            are no numbers, or only a web address; the message names file and reason.
    """
    ref = loaded(ref)
    if ref.content is not None:
        return _from_object(ref.content, rate)
    if ref.data is not None:
        return read_audio(ref.data, rate=rate)
    if ref.path is not None:
        return read_audio(ref.path, rate=rate)
    raise MediaError(
        explain(
            "this sound is only a web address",
            where=ref.url,
            remedy=ref.remedy or "download it, or use a model that takes addresses",
        )
    )


def read_audio(source: bytes | str, *, rate: int | None = None) -> tuple[NDArray[np.float32], int]:
    """Read a whole sound.

    Args:
        source: The encoded file, or its path.
        rate: Wanted sampling rate in Hz; None leaves the sound's own.

    Returns:
        As `open_audio`.

    Raises:
        MediaError: As `open_audio`.
    """
    where = source if isinstance(source, str) else f"a sound of {len(source):,} bytes"
    try:
        size = len(source) if isinstance(source, bytes) else check_regular(source)
        if isinstance(source, str) and os.path.isdir(source):
            raise _unreadable(where, "this is a folder")
        if not size:
            raise _unreadable(where, "it is empty (0 bytes)")
        samples, own_rate = _decode(source, where)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise _unreadable(where, reason) from error
    return _finish(samples, own_rate, rate, where)


def _decode(source: bytes | str, where: str) -> tuple[NDArray[np.float32], int]:
    import soundfile

    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        beginning = file.read(16)
        file.seek(0)
        if beginning.startswith(_SNDFILE) or is_mpeg_audio(beginning):
            problem = wholeness.missing(file)
            if problem is not None:
                raise _unreadable(where, problem)
            try:
                with soundfile.SoundFile(file) as sound:
                    return _collect(_sndfile_blocks(sound, where), where), int(sound.samplerate)
            except soundfile.LibsndfileError as error:
                if "nrecognised" not in str(error) and "unimplemented" not in str(error).lower():
                    said = error.error_string.rstrip(".")
                    raise _unreadable(where, "it is damaged" + ("" if "exist" in said else f": {said}")) from error
            file.seek(0)
        from pytest_lmms.media import _pyav_audio

        blocks, own_rate = _pyav_audio.blocks(file, where)
        return _collect(blocks, where), own_rate


def _sndfile_blocks(sound: Any, where: str) -> Iterator[NDArray[np.float32]]:
    promised, num_read = int(sound.frames), 0
    size = max(1, _BLOCK_SAMPLES // sound.channels)
    while len(block := sound.read(size, dtype="float32", always_2d=True)):
        num_read += len(block)
        yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
    if num_read < promised < 1 << 60:  # a stream of unknown length promises the largest number there is
        raise _unreadable(where, f"it is truncated: {num_read:,} of {promised:,} samples")


def _collect(blocks: Iterator[NDArray[np.float32]], where: str) -> NDArray[np.float32]:
    found, num_samples = [], 0
    for block in blocks:
        num_samples += len(block)
        if num_samples > MAX_SAMPLES:
            raise _unreadable(where, f"it is longer than {MAX_SAMPLES:,} samples")
        found.append(block)
    return found[0] if len(found) == 1 else np.concatenate(found or [np.zeros(0, np.float32)])


def _from_object(content: Any, rate: int | None) -> tuple[NDArray[np.float32], int]:
    where = "a sound in memory"
    if hasattr(content, "get_all_samples"):  # what `datasets` 4 and later gives
        decoded = content.get_all_samples()
        content = {"array": np.asarray(decoded.data), "sampling_rate": decoded.sample_rate}
    encoded = content.encoded_reference() if isinstance(content, LazyAudio) else None
    if encoded is not None and content.rate in (None, rate):
        return open_audio(encoded, rate)  # as well for many readers at once: nothing is kept
    if isinstance(content, Mapping) and "array" in content:
        samples = np.asarray(content["array"])
        if samples.ndim not in (1, 2) or samples.dtype.kind not in "fiu":
            raise MediaError(
                explain(
                    f"an array of {samples.dtype} {samples.shape} is no sound",
                    expected="numbers, (num_samples,) or (num_channels, num_samples)",
                )
            )
        if samples.dtype.kind in "iu":
            info = np.iinfo(samples.dtype)
            offset = 0 if info.min else (info.max + 1) // 2
            samples = (samples.astype(np.float64) - offset) / (info.max + 1 - offset)
        mono = samples if samples.ndim == 1 else samples.mean(axis=0)
        return _finish(mono.astype(np.float32), int(content["sampling_rate"]), rate, where)
    if isinstance(content, Mapping) and (content.get("bytes") or content.get("path")):
        return read_audio(content.get("bytes") or str(content["path"]), rate=rate)
    raise MediaError(
        explain(
            f"an object of type {type(content).__name__} is no sound",
            expected="a mapping with array and sampling_rate, or with bytes or path",
        )
    )


def _finish(
    samples: NDArray[np.float32], own_rate: int, rate: int | None, where: str
) -> tuple[NDArray[np.float32], int]:
    """Check, and resample."""
    for value in (own_rate, rate):
        if value is not None and not RATES_HZ[0] <= value <= RATES_HZ[1]:
            raise _unreadable(where, f"a sampling rate of {value:,} Hz is not between 1,000 and 768,000")
    if not len(samples):
        raise _unreadable(where, "it has no samples")
    if not np.isfinite(samples).all():
        raise _unreadable(where, "some of its samples are no numbers (NaN or infinite)")
    if rate is None or rate == own_rate:
        return samples, own_rate
    from scipy.signal import resample_poly

    if len(samples) * rate > MAX_SAMPLES * own_rate:
        raise _unreadable(where, f"it is longer than {MAX_SAMPLES:,} samples at {rate:,} Hz")
    common = gcd(rate, own_rate)
    resampled = resample_poly(samples, rate // common, own_rate // common)
    return resampled.astype(np.float32, copy=False), rate


def _unreadable(where: str, reason: str) -> MediaError:
    return MediaError(
        explain(
            f"cannot be read as a sound: {reason}",
            where=where,
            expected="WAV, FLAC, OGG, MP3, M4A or another file with sound that FFmpeg knows",
        )
    )
