"""How long requests are, without weights; prompts beyond the context."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from pytest_lmms import catalog
from pytest_lmms.records import PROMPT_TRUNCATED, Generation, MediaRef, Message, Request

TinyVlm = catalog.import_model_module("tiny_vlm").TinyVlm


def request(text, *media):
    messages = (Message(role="user", content=(*media, text)),)
    return Request(task="t", doc_id=0, messages=messages, generation=Generation(max_new_tokens=1))


def picture(width, height):
    return MediaRef(kind="image", content=PIL.Image.new("RGB", (width, height)))


@pytest.fixture(scope="module")
def model():
    return TinyVlm()


@pytest.mark.parametrize(
    "asked", [request("one"), request("a longer question, with more words"), request("one", picture(56, 112))]
)
def test_a_request_is_measured_as_it_is_counted_when_it_is_answered(model, asked):
    measure = TinyVlm.measure(noise=1)
    (response,) = model.generate([asked])
    measured = measure(asked)
    assert measured.input_tokens == response.tokens.input_tokens
    assert measured.context_length == model._model.config.get_text_config().max_position_embeddings


def test_frames_of_videos_are_counted():
    clip = MediaRef(kind="video", content=np.zeros((12, 56, 56, 3), np.uint8))
    assert TinyVlm.measure()(request("what moves?", clip)).num_frames == 12


def test_nothing_can_be_asked_of_a_model_without_weights():
    measured = TinyVlm.measure()
    assert measured.__self__._model.device.type == "meta"
    assert TinyVlm()._model.device.type == "cpu"


def test_a_prompt_beyond_the_context_is_flagged(model, monkeypatch):
    monkeypatch.setattr(model._model.config.get_text_config(), "max_position_embeddings", 40)
    short, long = request("one"), request("word " * 60)
    assert [r.flags for r in model.generate([short, long])] == [(), (PROMPT_TRUNCATED,)]
