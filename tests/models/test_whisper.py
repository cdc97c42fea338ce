"""Whisper on a tiny random checkpoint, alone, in batches, and as the model of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_more

from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.inference.model import BatchModel, Identified, Prepares
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS

ROOT = Path(__file__).parents[2]


def sound(seed, seconds):
    wave = np.sin(np.arange(int(16000 * seconds)) * 0.05 * (seed + 1)).astype(np.float32)
    return MediaRef(kind="audio", content={"array": wave, "sampling_rate": 16000})


def ask(*parts, **generation):
    settings = Generation(**{"max_new_tokens": 10, **generation})
    return Request(task="t", doc_id=7, messages=(Message(role="user", content=parts),), generation=settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_more.save_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def model(folder):
    return MODELS.load("whisper")(str(folder), device="cpu")


def test_it_keeps_the_contracts(model):
    assert isinstance(model, BatchModel)
    assert isinstance(model, Prepares)
    assert isinstance(model, Identified)
    json.dumps(model.identity)


def test_a_batch_of_short_and_long_sounds_gives_the_texts_of_one_at_a_time(model):
    requests = [ask(sound(seed, 0.4 * (seed + 1))) for seed in range(4)] + [ask(sound(9, 5.5))]
    alone = [model.generate([request])[0] for request in requests]
    together = model.generate(requests)
    assert [each.text for each in together] == [each.text for each in alone]
    assert len({each.text for each in alone}) > 3
    assert all(each.timing.source == "hook" and each.tokens.output_tokens for each in together)


def test_a_stop_string_cuts_the_text(model):
    text = model.generate([ask(sound(0, 1))])[0].text
    assert model.generate([ask(sound(0, 1), until=(text[2],))])[0].text == text.split(text[2])[0]


def test_language_and_task_reach_the_model(folder, monkeypatch):
    model = MODELS.load("whisper")(str(folder), device="cpu", language="de", task="translate")
    seen = []
    forward = model._model.model.decoder.forward

    def spy(input_ids=None, **more):
        seen.append(input_ids.tolist())
        return forward(input_ids=input_ids, **more)

    monkeypatch.setattr(model._model.model.decoder, "forward", spy)
    model.generate([ask(sound(0, 1))])
    assert model._tokenizer.convert_ids_to_tokens(seen[0][0])[1:3] == ["<|de|>", "<|translate|>"]
    english = MODELS.load("whisper")(str(folder), device="cpu")
    assert english.identity != model.identity
    with pytest.raises(UsageError, match="task=sing"):
        MODELS.load("whisper")(str(folder), task="sing")


@pytest.mark.parametrize(
    "parts", [("text alone",), (sound(0, 1), sound(1, 1)), (MediaRef(kind="image", path="a.png"),)]
)
def test_what_it_cannot_hear_is_named(model, parts):
    with pytest.raises(ModelError, match="document 7"):
        model.generate([ask(*parts)])


@pytest.mark.slow
def test_a_run_needs_no_launcher_and_two_workers_give_the_same_texts(folder, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key not in {"WORLD_SIZE", "RANK", "LOCAL_RANK"}}
    texts = {}
    for workers in ("0", "2"):
        out = tmp_path / workers
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "benchmarks/europal_asr", "--lmms-model", "whisper", "-n", workers,
             "--lmms-model-args", f"pretrained={folder},device=cpu,max_new_tokens=8", "--lmms-data", "mini",
             "--lmms-limit", "2", "--lmms-output-path", str(out), "-q", "-p", "no:cacheprovider"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        samples = sorted(out.rglob("samples_*.jsonl"))
        rows = [json.loads(line) for path in samples for line in path.read_text().splitlines()]
        texts[workers] = [(row["doc_id"], row["filtered_resps"], row["input"]) for row in rows]
    assert texts["0"]
    assert texts["0"] == texts["2"]
