"""A real vLLM with a tiny model, in this process: answers, settings, log-probabilities, figures, errors."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_models

from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm")
pytestmark = pytest.mark.xdist_group("vllm")

ROOT = Path(__file__).parents[2]
ENGINE = {"dtype": "float32", "max_model_len": 1024, "enforce_eager": True}


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 48, 3), dtype=np.uint8)
    return MediaRef(kind="image", content=pixels)


def ask(*parts, continuation=None, **generation):
    settings = Generation(**{"max_new_tokens": 8, **generation})
    messages = (Message(role="user", content=parts),)
    return Request(task="t", doc_id=0, messages=messages, generation=settings, continuation=continuation)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_models.save_tiny_qwen2_5_vl(tmp_path_factory.mktemp("vllm") / "model", num_heads=2)


@pytest.fixture(scope="module")
def loop():
    """The engine's, which stays with the loop that asked first."""
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.close()


@pytest.fixture(scope="module")
def model(checkpoint, loop):
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}
    model = MODELS.load("vllm")(str(checkpoint), **ENGINE)
    yield model
    model.stop()


@pytest.fixture(scope="module")
def reference(checkpoint):
    return MODELS.load("huggingface")(str(checkpoint), device="cpu", dtype="float32")


def all_of(call, requests):
    async def main():
        return await asyncio.gather(*map(call, requests), return_exceptions=True)

    return main()


REQUESTS = [
    ask("is it red? " * 3),
    ask(picture(1), "is it red?"),
    ask(picture(2), "which is right?", picture(3)),
    ask(MediaRef(kind="video", content=np.random.default_rng(4).integers(0, 256, (8, 56, 56, 3), np.uint8)), "yes?"),
]


def test_texts_are_those_of_transformers(model, loop, reference):
    texts = [response.text for response in loop(all_of(model.generate, REQUESTS))]
    expected = [reference.generate([request])[0].text for request in REQUESTS]
    # vLLM leaves out bytes at the end that are no whole character.
    assert texts == [text.rstrip("\N{REPLACEMENT CHARACTER}") for text in expected]


def test_log_probabilities_are_those_of_transformers(model, loop, reference):
    requests = [ask(picture(1), "is it red?", continuation=text) for text in ("yes", "no red square")]
    found = loop(all_of(model.score, requests))
    expected = reference.score(requests)
    assert [each.logprob for each in found] == pytest.approx([each.logprob for each in expected], abs=1e-3)
    assert [each.is_greedy for each in found] == [each.is_greedy for each in expected]


def test_each_request_has_its_own_settings(model, loop):
    lengths = [1, 3, 5, 8]
    requests = [ask(picture(1), "is it red?", max_new_tokens=n, extra={"ignore_eos": True}) for n in lengths]
    found = loop(all_of(model.generate, requests))
    assert [each.tokens.output_tokens for each in found] == lengths
    assert {each.finish_reason for each in found} == {"length"}


def test_a_stop_string_ends_the_text_before_it(model, loop):
    (whole,) = loop(all_of(model.generate, [REQUESTS[1]]))
    stop = whole.text[2:4]
    (cut,) = loop(all_of(model.generate, [ask(picture(1), "is it red?", until=(stop,))]))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"


def test_a_seed_repeats_what_is_sampled(model, loop):
    again = [ask("is it red?", temperature=2.0, do_sample=True, seed=seed) for seed in (1, 1, 2)]
    first, second, third = (each.text for each in loop(all_of(model.generate, again)))
    assert first == second != third


def test_times_are_the_engines(model, loop):
    (found,) = loop(all_of(model.generate, [ask("is it red?", extra={"ignore_eos": True})]))
    assert found.timing.source == "engine"
    assert 0 < found.timing.first_token_seconds < found.timing.seconds + 0.1
    assert found.timing.seconds_per_token > 0


def test_input_tokens_count_what_the_model_sees_of_an_image(model, loop, reference):
    (found,) = loop(all_of(model.generate, [REQUESTS[1]]))
    assert found.tokens.input_tokens == reference.generate([REQUESTS[1]])[0].tokens.input_tokens


def test_a_prompt_beyond_the_context_fails_alone(model, loop):
    long, short = loop(all_of(model.generate, [ask("red square " * 2000), REQUESTS[0]]))
    assert isinstance(long, ModelError)
    assert "1024" in str(long)
    assert short.text


def test_an_impossible_setting_fails_alone(model, loop):
    bad, good = loop(all_of(model.generate, [ask("yes?", extra={"min_p": 7}), REQUESTS[0]]))
    assert isinstance(bad, ModelError)
    assert "min_p" in str(bad)
    assert good.text


def test_an_unknown_argument_names_the_closest_one(checkpoint):
    with pytest.raises(UsageError, match="tensor_parallel_size"):
        MODELS.load("vllm")(str(checkpoint), tensor_paralel_size=2)


def test_a_missing_checkpoint_is_named():
    with pytest.raises(ModelError, match="no/such/folder"):
        MODELS.load("vllm")("no/such/folder")


def test_a_run_scores_every_document_and_ends(checkpoint, tmp_path):
    arguments = f"model={checkpoint},dtype=float32,max_model_len=1024,enforce_eager=true"
    command = [sys.executable, "-m", "pytest", "benchmarks/mme", "--lmms-data", "mini", "--lmms-model", "vllm",
               "--lmms-model-args", arguments, "--lmms-output-path", str(tmp_path)]  # fmt: skip
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stdout[-3000:]
    (results,) = tmp_path.glob("*/results.json")
    assert json.loads(results.read_text())["n-samples"]["mme"]["effective"] == 8
