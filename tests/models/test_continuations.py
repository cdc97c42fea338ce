"""Log-probabilities of continuations, on a real (random) Qwen2.5-VL: equal to one full forward pass a request."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pytest_lmms.errors import OutOfMemoryError
from pytest_lmms.inference.model import ScoresContinuations
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS

WORDS = ("is", "the", "red", "square", "yes", "no", "A", "B", "C", "option", "right", "image")


def picture(seed, height=60, width=48):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return MediaRef(kind="image", content=pixels)


def ask(*parts, continuation=" yes", doc_id=0):
    return Request(
        task="t",
        doc_id=doc_id,
        messages=(Message(role="user", content=parts),),
        generation=Generation(),
        continuation=continuation,
    )


def mixed_requests(count):
    chance = random.Random(1)
    requests = []
    for index in range(count):
        parts = [picture(index, chance.randint(20, 110), chance.randint(20, 110)) for _ in range(index % 3)]
        parts.append(" ".join(chance.choices(WORDS, k=2 + index)))
        text = " " + " ".join(chance.choices(WORDS, k=1 + index % 5))
        requests.append(ask(*parts, continuation=text, doc_id=index))
    return requests


@pytest.fixture(scope="module")
def model(checkpoint):
    return MODELS.load("huggingface")(str(checkpoint), device="cpu")


def reference(model, request):
    """The plain way: the processor's prompt, the continuation's tokens behind it, all logits, no padding."""
    import torch

    text, shown = model._prompt(request)
    pictures = shown.images
    inputs = dict(
        model._processing.processor(text=[text], images=[pictures] if pictures else None, return_tensors="pt")
    )
    tail = model._processing.tokenizer(request.continuation, add_special_tokens=False, return_tensors="pt")["input_ids"]
    length = inputs["input_ids"].shape[1]
    inputs["input_ids"] = torch.cat([inputs["input_ids"], tail], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "mm_token_type_ids" in inputs:
        inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(tail)], dim=1)
    with torch.inference_mode():
        logits = model._model(**inputs).logits[0].float().log_softmax(-1)
    rows = [logits[length - 1 + n] for n in range(tail.shape[1])]
    total = sum(float(row[token]) for row, token in zip(rows, tail[0], strict=True))
    return total, all(int(row.argmax()) == int(token) for row, token in zip(rows, tail[0], strict=True))


def test_it_keeps_the_contract(model):
    assert isinstance(model, ScoresContinuations)


@pytest.mark.parametrize("size", [1, 4, 12])
def test_a_batch_gives_what_one_full_forward_pass_a_request_gives(model, size):
    requests = mixed_requests(12)
    found = [r for start in range(0, 12, size) for r in model.score(requests[start : start + size])]
    for request, response in zip(requests, found, strict=True):
        logprob, is_greedy = reference(model, request)
        assert response.logprob == pytest.approx(logprob, abs=1e-4)
        assert response.is_greedy == is_greedy


def likeliest(model, seed):
    """The first token that the model would generate about a picture."""
    import torch

    inputs = model.prepare([ask(picture(seed), "is it red?")]).parts[0].inputs
    with torch.inference_mode():
        output = model._model.generate(**inputs, max_new_tokens=1, do_sample=False)
    return int(output[0, -1])


def test_only_what_the_model_would_say_is_greedy(model):
    texts = {}
    for token in range(7, 340):
        text = model._processing.tokenizer.decode([token])
        if model._processing.tokenizer(text, add_special_tokens=False)["input_ids"] == [token]:
            texts[token] = text
    seed, likely = next((seed, token) for seed in range(50) if (token := likeliest(model, seed)) in texts)
    found = {
        token: model.score([ask(picture(seed), "is it red?", continuation=text)])[0] for token, text in texts.items()
    }
    assert [token for token, response in found.items() if response.is_greedy] == [likely]
    assert max(found, key=lambda token: found[token].logprob) == likely


def test_the_image_and_the_prompt_change_the_log_probability(model):
    found = model.score([ask(picture(1), "red?"), ask(picture(2), "red?"), ask("red?"), ask("blue?")])
    assert len({round(r.logprob, 4) for r in found}) == 4


def test_an_empty_message_and_an_empty_continuation_are_answered(model):
    empty, nothing = model.score([ask(continuation="A"), ask("red?", continuation="")])
    assert empty.logprob == pytest.approx(reference(model, ask(continuation="A"))[0], abs=1e-4)
    assert (nothing.logprob, nothing.is_greedy) == (0.0, True)


def test_generation_after_scoring_is_undisturbed(model):
    request = Request(
        task="t",
        doc_id=0,
        messages=(Message(role="user", content=(picture(4), "what?")),),
        generation=Generation(max_new_tokens=8),
    )
    before = model.generate([request])[0].text
    model.score(mixed_requests(5))
    assert model.generate([request])[0].text == before


def test_running_out_of_memory_is_told_so_that_a_half_can_be_asked(model, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr(model._model, "forward", fail)
    with pytest.raises(OutOfMemoryError, match="a batch of 2"):
        model.score([ask("a"), ask("b")])


class Tokenizer:
    """Words are tokens; the first of a text is marked, and `a` and `b` together make one."""

    def __call__(self, text, *, add_special_tokens):
        assert not add_special_tokens
        words = text.replace("ab", "X").split("|")
        return {"input_ids": [f"^{words[0]}", *words[1:]]}


def test_a_continuation_is_tokenised_as_what_follows_and_not_as_a_beginning():
    continuation_tokens = __import__("sys").modules["pytest_lmms._models._continuations"].continuation_tokens
    assert continuation_tokens(Tokenizer(), "x|y", "|z|w") == ["z", "w"]


def test_a_token_across_the_boundary_is_none():
    continuation_tokens = __import__("sys").modules["pytest_lmms._models._continuations"].continuation_tokens
    assert continuation_tokens(Tokenizer(), "x|a", "b|c") == ["^b", "c"]
