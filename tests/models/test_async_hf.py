"""Replicas over one queue: order, errors of one request, batches, and the engine on top."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading

import numpy as np
import pytest
import tiny_more

from pytest_lmms.errors import MediaError, UsageError
from pytest_lmms.inference.engine import Engine, EngineSettings
from pytest_lmms.inference.model import AsyncModel, Identified, Starts
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS


def picture(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 48, 3), dtype=np.uint8)
    return MediaRef(kind="image", content=pixels)


def ask(*parts, doc_id=0, continuation=None, **generation):
    settings = Generation(**{"max_new_tokens": 6, **generation})
    messages = (Message(role="user", content=parts),)
    return Request(task="t", doc_id=doc_id, messages=messages, generation=settings, continuation=continuation)


def load(checkpoint, **arguments):
    return MODELS.load("async_hf")(str(checkpoint), device="cpu", **arguments)


def answer_all(model, requests, *, call="generate"):
    async def main():
        model.start()
        try:
            asked = (getattr(model, call)(request) for request in requests)
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await model.stop()

    return asyncio.run(main())


@pytest.fixture(scope="module")
def single(checkpoint):
    return MODELS.load("huggingface")(str(checkpoint), device="cpu")


@pytest.fixture(scope="module")
def pair(checkpoint):
    return load(checkpoint, worker_count=2)


REQUESTS = [ask(picture(seed), "is it red? " * (seed + 1), doc_id=seed) for seed in range(6)]


def test_it_keeps_the_contracts(pair, single):
    assert isinstance(pair, AsyncModel)
    assert isinstance(pair, Identified)
    assert isinstance(pair, Starts)
    assert pair.identity == single.identity


def test_answers_come_back_to_their_requests_from_all_replicas(pair, single, monkeypatch):
    threads = set()
    together = threading.Barrier(2, timeout=60)
    for replica in pair._replicas:
        generate = replica.generate

        def watched(requests, generate=generate):
            if threading.current_thread().name not in threads:
                threads.add(threading.current_thread().name)
                together.wait()  # both replicas are at work at once
            return generate(requests)

        monkeypatch.setattr(replica, "generate", watched)
    found = answer_all(pair, REQUESTS)
    assert [each.text for each in found] == [each.text for each in single.generate(REQUESTS)]
    assert threads == {"replica-0", "replica-1"}


def test_one_failing_request_harms_only_itself(checkpoint, single):
    broken = ask(MediaRef(kind="image", path="/nowhere/none.png"), "what?")
    found = answer_all(load(checkpoint, worker_count=2, batch_size=4), [*REQUESTS[:3], broken, *REQUESTS[3:]])
    assert isinstance(found[3], MediaError)
    answers = [each.text for each in found if each is not found[3]]
    assert answers == [each.text for each in single.generate(REQUESTS)]


def test_requests_of_other_settings_are_not_batched_together(checkpoint):
    model = load(checkpoint, batch_size=8)
    sizes = []
    generate = model._replicas[0].generate

    def watched(requests):
        sizes.append({request.generation.max_new_tokens for request in requests})
        return generate(requests)

    model._replicas[0].generate = watched
    found = answer_all(model, [ask("yes", max_new_tokens=count) for count in (2, 2, 5, 5, 2)])
    assert [each.tokens.output_tokens for each in found] == [2, 2, 5, 5, 2]
    assert all(len(kinds) == 1 for kinds in sizes)
    assert len(sizes) < 5


def test_it_scores_continuations(pair, single):
    requests = [ask(picture(seed), "is it?", continuation=" yes") for seed in (1, 2)]
    expected = [each.logprob for each in single.score(requests)]
    assert [each.logprob for each in answer_all(pair, requests, call="score")] == pytest.approx(expected, abs=1e-4)


def test_it_runs_under_the_engine(pair, single):
    engine = Engine(pair, settings=EngineSettings(batch_size=1))
    engine.start()

    async def together():
        asked = (engine.answer([request], engine.keys([request])) for request in REQUESTS)
        return [response for (response,) in await asyncio.gather(*asked)]

    try:
        found = asyncio.run_coroutine_threadsafe(together(), engine._loop).result(120)
    finally:
        engine.close()
    assert [each.text for each in found] == [each.text for each in single.generate(REQUESTS)]


def test_arguments_of_the_family_are_checked_by_name(checkpoint):
    with pytest.raises(UsageError, match="did you mean: max_pixels"):
        load(checkpoint, max_pixel=784)
    with pytest.raises(UsageError, match="no local model"):
        MODELS.load("async_hf")(str(checkpoint), family="async_hf")
    with pytest.raises(UsageError, match="worker_count=0"):
        load(checkpoint, worker_count=0)


def test_devices_follow_the_users_words(monkeypatch):
    MODELS.load("async_hf")
    module = sys.modules["pytest_lmms._models.async_hf"]
    assert module.worker_devices("cpu", None, 3) == ["cpu"] * 3
    assert module.worker_devices(None, "0,2", None) == ["cuda:0", "cuda:2"]
    assert module.worker_devices(None, 1, None) == ["cuda:1"]
    with pytest.raises(UsageError, match="3, but there are 2 devices"):
        module.worker_devices(None, "0,2", 3)


# --- NanoVLM, which is such a queue of replicas of its own network ----------------------------------------------------


@pytest.fixture(scope="module")
def nanovlm(tmp_path_factory):
    folder = tiny_more.save_nanovlm(tmp_path_factory.mktemp("nanovlm"))
    return MODELS.load("nanovlm")(str(folder), device="cpu", worker_count=2)


def test_nanovlm_answers_through_its_replicas_as_one_of_them_does(nanovlm):
    requests = [*REQUESTS, ask("only text"), ask(picture(1), picture(2), "which is right?")]
    found = answer_all(nanovlm, requests)
    assert [each.text for each in found] == [each.text for each in nanovlm._replicas[0].generate(requests)]
    assert len({each.text for each in found}) > 5


def test_nanovlm_sees(nanovlm):
    one, other = nanovlm._replicas[0].score([ask(picture(seed), "is it red?", continuation=" yes") for seed in (1, 2)])
    assert one.logprob != pytest.approx(other.logprob, abs=1e-3)


def test_nanovlm_has_the_published_layout(nanovlm):
    names = {name.split(".")[0] for name, _ in nanovlm._replicas[0]._model.named_parameters()}
    assert names == {"vision_model", "multi_modal_projector", "language_model"}
    parameters = inspect.signature(MODELS.load("nanovlm")).parameters
    assert {"attn_implementation", "system_prompt", "use_cache", "worker_gpus", "worker_count"} <= parameters.keys()
    described = nanovlm._replicas[0]._model.config.to_dict()
    assert described["model_type"] == "nanovlm"
    assert described["vision_config"]["model_type"] == "siglip2_vision_model"
    assert described["text_config"]["model_type"] == "qwen3"
