"""A column's sound is closed until somebody needs its samples."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from pytest_lmms.media import audio
from pytest_lmms.media.audio import open_audio
from pytest_lmms.media.lazy_audio import LazyAudio
from pytest_lmms.media.references import digest
from pytest_lmms.records import MediaRef
from pytest_lmms.tasks.columns import wrapper
from tests.media.sounds import encoded, sine


def test_it_looks_like_what_datasets_gives(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(sine()))
    sound = LazyAudio(None, str(path))
    assert ("array" in sound, sound["path"], sound.get("nothing", 3)) == (True, str(path), 3)
    assert (sound.get("sampling_rate"), len(sound["array"])) == (16000, 16000)
    with pytest.raises(KeyError):
        sound["nothing"]


def test_nothing_is_decoded_for_a_digest_or_a_copy(monkeypatch):
    monkeypatch.setattr(audio, "read_audio", None)
    data = encoded(sine())
    sound = pickle.loads(pickle.dumps(LazyAudio(data, "a.wav")))
    assert digest(MediaRef(kind="audio", content=sound)) == digest(MediaRef(kind="audio", data=data))


def test_sounds_of_one_name_have_digests_of_their_own():
    refs = [MediaRef(kind="audio", content=LazyAudio(encoded(sine(hertz=h)), None)) for h in (440, 880)]
    assert digest(refs[0]) != digest(refs[1])


def test_samples_that_task_code_changed_are_what_a_model_hears():
    sound = LazyAudio(encoded(sine()), None)
    sound["array"] = sound["array"][:8000] * 0
    samples, _ = open_audio(MediaRef(kind="audio", content=sound))
    assert (samples.shape, samples.any()) == ((8000,), np.False_)


def test_a_column_with_a_rate_is_resampled_as_datasets_does():
    sound = wrapper({"_type": "Audio", "sampling_rate": 8000})({"bytes": encoded(sine()), "path": None})
    assert (sound["sampling_rate"], len(sound["array"])) == (8000, 8000)
    assert wrapper({"_type": "Audio"})(None) is None
