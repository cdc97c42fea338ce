"""Real servers on loopback behind `openai`: `transformers serve`, and `vllm serve` where it is installed."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_image_families  # noqa: F401  (registers families)
import tiny_models
from tiny_families import FAMILIES

from pytest_lmms.errors import ModelError
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS

START_SECONDS = 240


def picture(seed):
    return MediaRef(kind="image", content=np.random.default_rng(seed).integers(0, 256, (28, 28, 3), dtype=np.uint8))


def ask(*parts, **generation):
    settings = Generation(**{"max_new_tokens": 6, **generation})
    return Request(task="t", doc_id=0, messages=(Message(role="user", content=parts),), generation=settings)


def save_llava(folder):
    folder.mkdir()
    next(each for each in FAMILIES if each.name == "llava_hf").build(folder)
    return folder


def command(kind, checkpoint, port):
    binaries = Path(sys.executable).parent
    if kind == "transformers":
        return [binaries / "transformers", "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu",
                "--dtype", "float32", str(checkpoint)]  # fmt: skip
    # What `vllm serve` runs; the command itself asks for a package of the name vllm, which the CPU build is not.
    server = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint)]
    limits = ["--dtype", "float32", "--enforce-eager", "--max-model-len", "1024"]
    return [*server, "--host", "127.0.0.1", "--port", str(port), *limits]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_for(process, address, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="module", params=["transformers", "vllm"])
def server(request, tmp_path_factory):
    kind = request.param
    if kind == "vllm" and importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make test-vllm")
    if kind == "transformers" and importlib.util.find_spec("vllm") is not None:
        pytest.skip("beside vLLM's CPU build no torchvision reads images: make test-models")
    folder = tmp_path_factory.mktemp(kind)
    model = folder / "model"
    save_llava(model) if kind == "transformers" else tiny_models.save_tiny_qwen2_5_vl(model, num_heads=2)
    port, log = free_port(), folder / "log.txt"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1",
                   "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(kind, model, port), stdout=out, stderr=out, env=environment, start_new_session=True
        )
    try:
        wait_for(process, f"http://127.0.0.1:{port}", log)
        yield str(model), f"http://127.0.0.1:{port}/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def run(server, function, **arguments):
    name, address = server
    settings = {"model": name, "base_url": address, "api_key": "any", "max_retries": 0, **arguments}

    async def main():
        model = MODELS.load("openai")(**settings)
        await model.start()
        try:
            return await function(model)
        finally:
            await model.stop()

    return asyncio.run(main())


def answer(server, requests, **arguments):
    ask_all = lambda model: asyncio.gather(*map(model.generate, requests), return_exceptions=True)  # noqa: E731
    return run(server, ask_all, **arguments)


def test_answers_are_those_of_the_same_model_in_this_process(server):
    requests = [ask("is it red?"), ask(picture(1), "is it red?")]
    found = answer(server, requests)
    local = MODELS.load("huggingface")(server[0], device="cpu", dtype="float32")
    expected = [local.generate([request])[0].text for request in requests]
    unfinished = "\N{REPLACEMENT CHARACTER}"  # bytes at the end that are no whole character
    assert [each.text.rstrip(unfinished) for each in found] == [text.rstrip(unfinished) for text in expected]


def test_a_streamed_answer_has_a_first_token_and_counts(server):
    (found,) = answer(server, [ask("is it red?")])
    assert found.timing.source == "client"
    assert 0 < found.timing.first_token_seconds <= found.timing.seconds
    assert found.tokens.input_tokens > 0
    assert 0 < found.tokens.output_tokens <= 6


def test_an_answer_in_one_piece_is_the_same(server):
    requests = [ask(picture(2), "yes?")]
    assert answer(server, requests)[0].text == answer(server, requests, stream=False)[0].text


def test_a_model_that_the_server_does_not_have_is_named(server):
    (found,) = answer(server, [ask("is it red?")], model="no-such-model")
    assert isinstance(found, ModelError)
    assert "no-such-model" in str(found)


ONLY_VLLM = pytest.mark.parametrize("server", ["vllm"], indirect=True)


def scored(server, requests, **arguments):
    return run(server, lambda model: asyncio.gather(*map(model.score, requests)), **arguments)


@pytest.mark.parametrize("logprobs_from", ["chat", "completions"])
def test_a_server_tells_truly_whether_it_gives_log_probabilities(server, logprobs_from):
    why = run(server, lambda model: model.why_not_score(), logprobs_from=logprobs_from)
    if importlib.util.find_spec("vllm") is not None:
        assert why is None
    elif logprobs_from == "chat":  # a key that it does not know
        assert "HTTP 422" in why
        assert "prompt_logprobs" in why
    else:  # it answers, without them
        assert "tells no log-probabilities" in why


@ONLY_VLLM
def test_log_probabilities_of_a_server_are_those_of_the_same_model_in_this_process(server):
    parts = [("is it red?",), (picture(1), "is it red?"), (picture(2), picture(3), "which?"), ()]
    requests = [
        replace(ask(*each), continuation=continuation)
        for each in parts
        for continuation in (" yes", "no", " a red square\n", " \N{HANGUL SYLLABLE YE}")
    ]
    found = scored(server, requests)
    local = MODELS.load("huggingface")(server[0], device="cpu", dtype="float32")
    expected = [local.score([request])[0] for request in requests]
    assert [each.logprob for each in found] == pytest.approx([each.logprob for each in expected], abs=1e-3)
    assert [each.is_greedy for each in found] == [each.is_greedy for each in expected]
    assert [each.tokens.input_tokens for each in found] == [each.tokens.input_tokens for each in expected]


@ONLY_VLLM
def test_a_text_that_is_echoed_has_log_probabilities_too(server):
    requests = [replace(ask("is it red? "), continuation=text) for text in ("yes", "a red square")]
    found = scored(server, requests, logprobs_from="completions")
    whole = replace(ask("is it"), continuation=" red? yes")
    assert all(each.logprob < 0 for each in found)
    assert scored(server, [whole], logprobs_from="completions")[0].logprob < found[0].logprob
