"""Sounds become one channel of float32 samples."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from pytest_lmms.errors import MediaError
from pytest_lmms.media.audio import read_audio


def encoded(samples: np.ndarray, form: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 8000, format=form)
    return file.getvalue()


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_a_sound_comes_back_with_its_rate(form):
    wave = np.sin(np.linspace(0, 100, 4000)).astype("float32")
    samples, rate = read_audio(encoded(wave, form))
    assert (samples.dtype, samples.shape, rate) == (np.float32, (4000,), 8000)
    assert np.abs(samples - wave).max() < 1e-3


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "two.wav"
    path.write_bytes(encoded(np.stack([np.full(10, 0.5), np.full(10, -0.25)], axis=1)))
    samples, _ = read_audio(str(path))
    assert np.allclose(samples, 0.125, atol=1e-3)


@pytest.mark.parametrize("data", [b"", b"not a sound", encoded(np.zeros(100))[:20]])
def test_what_is_no_sound_is_an_error_that_says_so(data):
    with pytest.raises(MediaError, match="cannot be read as a sound"):
        read_audio(data)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MediaError, match=r"nowhere\.wav"):
        read_audio(str(tmp_path / "nowhere.wav"))
