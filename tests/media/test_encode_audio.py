"""Sounds inside JSON: passed on where they can be, encoded where they must be."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from pytest_lmms.errors import MediaError, UsageError
from pytest_lmms.media.audio import read_audio
from pytest_lmms.media.encode_audio import encode_audio_to_base64
from pytest_lmms.media.lazy_audio import LazyAudio
from pytest_lmms.records import MediaRef
from tests.media.sounds import encoded, sine


@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_a_file_that_will_do_is_passed_on(form, tmp_path):
    data = encoded(sine(), form)
    path = tmp_path / "a"
    path.write_bytes(data)
    for ref in (
        MediaRef(kind="audio", data=data),
        MediaRef(kind="audio", path=str(path)),
        MediaRef(kind="audio", content=LazyAudio(data, None)),
    ):
        for wanted in (None, form):
            name, text = encode_audio_to_base64(ref, audio_format=wanted)
            assert (name, base64.b64decode(text)) == (form, data)


@pytest.mark.parametrize(("form", "wanted"), [("flac", None), ("mp3", "wav"), ("m4a", "wav"), ("wav", "mp3")])
def test_other_files_are_encoded(form, wanted):
    name, text = encode_audio_to_base64(MediaRef(kind="audio", data=encoded(sine(), form)), audio_format=wanted)
    samples, rate = read_audio(base64.b64decode(text))
    assert (name, rate) == (wanted or "wav", 16000)
    assert np.sqrt(np.mean((samples[500:15000] - sine()[500:15000]) ** 2)) < 0.03


def test_another_rate_and_samples_in_memory_are_encoded():
    ref = MediaRef(kind="audio", content={"array": sine(1, 10000), "sampling_rate": 10000})
    assert read_audio(base64.b64decode(encode_audio_to_base64(ref, rate=8000)[1]))[1] == 8000
    assert read_audio(base64.b64decode(encode_audio_to_base64(ref, audio_format="mp3")[1]))[1] == 11025


def test_what_cannot_be_heard_is_not_sent():
    data = encoded(sine())
    with pytest.raises(MediaError, match="truncated"):
        encode_audio_to_base64(MediaRef(kind="audio", data=data[:9000]))
    with pytest.raises(MediaError, match=r"nowhere\.wav"):
        encode_audio_to_base64(MediaRef(kind="audio", path="nowhere.wav"))
    with pytest.raises(UsageError, match="wav or mp3"):
        encode_audio_to_base64(MediaRef(kind="audio", data=data), audio_format="flac")
