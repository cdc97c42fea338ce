"""Every family on a tiny random checkpoint of its own: what it can be shown, batches, and that media matter."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tiny_audio_families  # noqa: F401  (registers)
import tiny_image_families  # noqa: F401  (registers)
from tiny_families import FAMILIES

from pytest_lmms.errors import ModelError
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS


def is_installed(package):
    return importlib.util.find_spec(package) is not None


RUNNABLE = [each for each in FAMILIES if all(map(is_installed, each.needs))]
WANTING = [each for each in FAMILIES if each not in RUNNABLE]
SHOWN = [(each, kind) for each in RUNNABLE for kind in each.kinds]


def named(value):
    return value if isinstance(value, str) else value.id


def picture(seed, height=60, width=48):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return MediaRef(kind="image", content=pixels)


def clip(seed):
    frames = np.random.default_rng(seed).integers(0, 256, (4, 50, 40, 3), dtype=np.uint8)
    return MediaRef(kind="video", content=frames)


def sound(seed, count=8000):
    wave = np.sin(np.arange(count) * 0.05 * (seed + 1)).astype(np.float32)
    return MediaRef(kind="audio", content={"array": wave, "sampling_rate": 16000})


PROMPTS = {
    "text": lambda seed: ("yes or no " * seed,),
    "image": lambda seed: (picture(seed), "is it red?"),
    "images": lambda seed: (picture(seed), picture(seed + 50, 30, 90), "which option is right, A or B?"),
    "video": lambda seed: (clip(seed), "what is shown?"),
    "audio": lambda seed: (sound(seed), "what is it?"),
    "audios": lambda seed: (sound(seed), sound(seed + 7, 5000), "which one is right?"),
}


def ask(kind, seed, *, continuation=None, doc_id=0):
    return Request(
        task="t",
        doc_id=doc_id,
        messages=(Message(role="user", content=PROMPTS[kind](seed)),),
        generation=Generation(max_new_tokens=6),
        continuation=continuation,
    )


@functools.cache
def model_of(family):
    """Each process builds and loads a family once."""
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        family.build(Path(folder))
        return MODELS.load(family.name)(folder, device="cpu", dtype="float32")


def test_every_family_has_a_tiny_checkpoint_or_a_reason():
    """docs/models.md tells the reasons; families are the adapters that are made from the generic one."""
    generic = MODELS.load("huggingface")
    loaded = {name: MODELS.load(name) for name in MODELS.names()}
    families = {name for name, cls in loaded.items() if isinstance(cls, type) and issubclass(cls, generic)}
    docs = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    unproven = set(re.findall(r"^- `(\w+)`: ", docs.partition("## Not proven")[2], re.MULTILINE))
    assert families - {"huggingface", "tiny_vlm"} == {family.name for family in FAMILIES} | unproven
    assert not unproven & {family.name for family in FAMILIES}


@pytest.mark.parametrize("family", RUNNABLE, ids=named)
def test_a_mixed_batch_gives_the_texts_of_one_request_at_a_time(family):
    model = model_of(family)
    assert model.batch_invariant
    kinds = [*family.kinds, *["text"] * family.takes_text]
    requests = [ask(kind, seed, doc_id=number) for number, (seed, kind) in enumerate(itertools.product((1, 2), kinds))]
    alone = [model.generate([request])[0] for request in requests]
    together = model.generate(requests)
    assert [each.text for each in together] == [each.text for each in alone]
    assert [each.tokens for each in together] == [each.tokens for each in alone]
    assert any(each.tokens.output_tokens for each in together)
    assert len({each.text for each in alone}) > 1 or family.is_monotonous


@pytest.mark.parametrize(("family", "kind"), SHOWN, ids=named)
def test_what_it_is_shown_changes_what_it_thinks(family, kind):
    model = model_of(family)
    one, same, other = model.score([ask(kind, seed, continuation=" yes no") for seed in (1, 1, 2)])
    assert one.logprob == pytest.approx(same.logprob, abs=1e-5)
    assert one.logprob != pytest.approx(other.logprob, abs=3e-4)


@pytest.mark.parametrize("family", WANTING, ids=named)
def test_a_family_that_lacks_a_package_names_it(family, tmp_path):
    family.build(tmp_path)
    with pytest.raises(ModelError, match=f"(?i){'|'.join(family.needs)}"):
        MODELS.load(family.name)(str(tmp_path), device="cpu")
