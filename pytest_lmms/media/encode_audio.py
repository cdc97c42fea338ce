"""Sounds as text: base64 for providers that take sounds inside JSON.

Bytes that are already a WAV or MP3 file are passed on as they are. Knows no task, no model and no provider.
"""

from __future__ import annotations

import base64
import io
from typing import Literal

from pytest_lmms.errors import MediaError, UsageError, explain
from pytest_lmms.media.audio import open_audio
from pytest_lmms.media.files import read_whole
from pytest_lmms.media.kinds import is_mpeg_audio
from pytest_lmms.media.lance_blob import loaded
from pytest_lmms.media.lazy_audio import LazyAudio
from pytest_lmms.records import MediaRef

AudioFormat = Literal["wav", "mp3"]
_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def encode_audio_to_base64(
    ref: MediaRef, *, audio_format: AudioFormat | None = None, rate: int | None = None
) -> tuple[AudioFormat, str]:
    """Encode a sound for a JSON message.

    Args:
        ref: A sound, as `open_audio` takes it.
        audio_format: ``wav`` (16 bits, one channel) or ``mp3``. None: the one that the bytes already have, else wav.
        rate: Sampling rate in Hz of what is sent. None: the sound's own, so that bytes can be passed on.

    Returns:
        The format, ``wav`` or ``mp3``, and the base64 text of the encoded file.

    Raises:
        MediaError: The sound cannot be read; the message names file and reason.
        UsageError: Another format.
    """
    if audio_format not in (None, "wav", "mp3"):
        raise UsageError(explain(f"unknown format {audio_format!r}", where="audio_format", expected="wav or mp3"))
    ref = loaded(ref)
    if rate is None:
        data = _stored(ref)
        stored = None if data is None else _sniff(data)
        if data is not None and stored is not None and audio_format in (None, stored):
            open_audio(ref, None)  # a truncated or damaged file is an error here, not a wrong answer there
            return stored, base64.b64encode(data).decode("ascii")
    data = _encode(ref, audio_format or "wav", rate)
    return audio_format or "wav", base64.b64encode(data).decode("ascii")


def _stored(ref: MediaRef) -> bytes | None:
    """The encoded file's bytes, where there is one."""
    if isinstance(ref.content, LazyAudio):
        ref = ref.content.encoded_reference() or ref
    if ref.data is not None:
        return ref.data
    if ref.path is None:
        return None
    try:
        return read_whole(ref.path)
    except OSError:
        return None  # open_audio says why


def _sniff(data: bytes) -> AudioFormat | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    return "mp3" if is_mpeg_audio(data) else None


def _encode(ref: MediaRef, audio_format: AudioFormat, rate: int | None) -> bytes:
    import soundfile

    samples, own_rate = open_audio(ref, rate)
    if audio_format == "mp3" and own_rate not in _MP3_RATES_HZ:
        own_rate = next((r for r in _MP3_RATES_HZ if r >= own_rate), 48000)
        samples, own_rate = open_audio(ref, own_rate)
    file = io.BytesIO()
    try:
        subtype = "PCM_16" if audio_format == "wav" else "MPEG_LAYER_III"
        soundfile.write(file, samples, own_rate, format=audio_format.upper(), subtype=subtype)
    except soundfile.SoundFileError as error:
        raise MediaError(explain(f"cannot be encoded as {audio_format}: {error}", where=ref.path)) from error
    return file.getvalue()
