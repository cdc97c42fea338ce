"""Sounds become one channel of float32 samples at the rate that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_lmms.errors import MediaError
from pytest_lmms.media import audio
from pytest_lmms.media.audio import open_audio, read_audio
from pytest_lmms.records import MediaRef
from tests.media.sounds import encoded, main_frequency, sine

FORMS = ["wav", "flac", "ogg", "mp3", "m4a", "webm"]


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_sound_comes_back_with_its_rate(form):
    samples, rate = read_audio(encoded(sine(0.5, 8000), form, 8000))
    assert (samples.dtype, samples.shape, rate) == (np.float32, (4000,), 8000)
    assert np.abs(samples - sine(0.5, 8000)).max() < 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("by", ["data", "path"])
def test_every_format_is_read_at_the_rate_that_a_model_wants(form, by, tmp_path):
    data = encoded(sine(1, 48000), form, 48000)
    path = tmp_path / "a name that tells nothing"
    path.write_bytes(data)
    ref = MediaRef(kind="audio", data=data) if by == "data" else MediaRef(kind="audio", path=str(path))
    samples, rate = open_audio(ref)
    assert (samples.dtype, samples.ndim, rate) == (np.float32, 1, 16000)
    assert len(samples) == pytest.approx(16000, rel=0.08)  # codecs add some at the end
    assert main_frequency(samples[1000:15000], rate) == pytest.approx(440, abs=1.5)
    assert np.sqrt(np.mean(samples[1000:15000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.01)


def test_what_a_lower_rate_cannot_carry_is_gone_and_not_folded_back():
    samples, _ = open_audio(MediaRef(kind="audio", data=encoded(sine(1, 48000, 15000), "wav", 48000)))
    assert np.abs(samples[200:-200]).max() < 0.005


def test_channels_are_averaged():
    data = encoded(np.stack([np.full(1000, 0.5), np.full(1000, -0.25)], axis=1))
    assert np.allclose(read_audio(data)[0], 0.125, atol=1e-3)


def test_silence_is_zeros():
    samples, _ = open_audio(MediaRef(kind="audio", data=encoded(np.zeros(32000, np.float32), rate=32000)))
    assert samples.shape == (16000,)
    assert not samples.any()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full(800, 0.25), 0.25),
        ([0.25] * 800, 0.25),
        (np.full((2, 800), 0.25, np.float32), 0.25),
        (np.full(800, 1 << 13, np.int16), 0.25),
        (np.full(800, 160, np.uint8), 0.25),
    ],
)
def test_samples_in_memory_are_taken_as_they_are(array, expected):
    samples, rate = open_audio(MediaRef(kind="audio", content={"array": array, "sampling_rate": 8000}), 8000)
    assert (samples.dtype, samples.shape, rate) == (np.float32, (800,), 8000)
    assert np.allclose(samples, expected)


def test_a_row_of_datasets_is_read(tmp_path):
    data = encoded(sine())
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    for content in ({"bytes": data, "path": None}, {"bytes": None, "path": str(path)}):
        assert len(open_audio(MediaRef(kind="audio", content=content))[0]) == 16000


def test_a_decoder_of_torchcodec_is_read():
    class Samples:
        data = np.full((2, 800), 0.5, np.float32)
        sample_rate = 8000

    class Decoder:
        def get_all_samples(self):
            return Samples()

    samples, rate = open_audio(MediaRef(kind="audio", content=Decoder()), None)
    assert (samples.shape, rate) == ((800,), 8000)


# --- what cannot be read


def wrong(data, **kwargs):
    with pytest.raises(MediaError) as caught:
        read_audio(data, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.8])
def test_a_truncated_file_is_an_error_and_not_a_shorter_sound(form, share):
    data = encoded(sine(2, 48000), form, 48000)
    assert "cannot be read as a sound" in wrong(data[: int(len(data) * share)])


def test_a_wav_file_from_a_pipe_has_no_length_and_is_whole():
    data = bytearray(encoded(sine()))
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = b"\xff" * 4
    assert len(read_audio(bytes(data))[0]) == 16000


NO_SOUNDS = [b"not a sound", b"\0" * 100, b"ID3", b"OggS", b"fLaC" + b"\0" * 50, b"\xff\xfb", b"\xff"]


@pytest.mark.parametrize("data", NO_SOUNDS)
def test_what_is_no_sound_is_an_error_that_says_so(data):
    assert "cannot be read as a sound" in wrong(data)


def test_reasons_are_told(tmp_path):
    text = tmp_path / "notes.wav"
    text.write_text("these are words " * 10)
    assert "notes.wav: cannot be read as a sound" in wrong(str(text))
    assert "nowhere.wav: cannot be read as a sound: no such file" in wrong(str(tmp_path / "nowhere.wav"))
    assert "this is a folder" in wrong(str(tmp_path))
    assert "empty (0 bytes)" in wrong(b"")
    assert "no samples" in wrong(encoded(np.zeros(0)))
    assert "no numbers" in wrong(encoded(np.full(100, np.nan, np.float32), subtype="FLOAT"))
    assert "sampling rate of 3 Hz" in wrong(encoded(sine(), rate=3))
    assert "sampling rate of 1 Hz" in wrong(encoded(sine()), rate=1)
    with pytest.raises(MediaError, match="only a web address"):
        open_audio(MediaRef(kind="audio", url="http://localhost/a.wav"))
    for content in (3, {"array": "text", "sampling_rate": 8000}, {"array": np.zeros((1, 1, 1)), "sampling_rate": 1}):
        with pytest.raises(MediaError, match="is no sound"):
            open_audio(MediaRef(kind="audio", content=content))


def test_a_sound_that_is_too_long_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(audio, "MAX_SAMPLES", 10_000)
    assert "longer than 10,000 samples" in wrong(encoded(sine()))
    assert "longer than 10,000 samples" in wrong(encoded(sine(), "m4a"))
