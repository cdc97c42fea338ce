"""Sounds to samples: what libsndfile reads (WAV, FLAC, OGG, MP3), as one channel of float32.

Knows no task and no model; resamples nothing.
"""

from __future__ import annotations

import io
from typing import Any

from pytest_lmms.errors import MediaError, explain


def read_audio(source: bytes | str) -> tuple[Any, int]:
    """Read a whole sound.

    Args:
        source: The encoded file, or its path.

    Returns:
        Samples, float32 in [-1, 1], shape (num_samples,), the mean of all channels; and the sampling rate in Hz.

    Raises:
        MediaError: It cannot be read; the message names path and reason.
    """
    import soundfile

    where = source if isinstance(source, str) else f"a sound of {len(source)} bytes"
    try:
        samples, rate = soundfile.read(
            io.BytesIO(source) if isinstance(source, bytes) else source, dtype="float32", always_2d=True
        )
    except (OSError, RuntimeError, soundfile.SoundFileError) as e:
        raise MediaError(
            explain(f"cannot be read as a sound: {e}", where=where, expected="WAV, FLAC, OGG or MP3")
        ) from e
    return samples.mean(axis=1), int(rate)
