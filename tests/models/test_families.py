"""Every family on a tiny random checkpoint of its own: what it can be shown, batches, and that media matter."""

from __future__ import annotations

import functools
import importlib.util
import inspect
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

# transformers turns token lists into numpy arrays in a way that numpy will not have for ever.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
DOCS = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


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


def families():
    """Adapters that are made from the generic one, by name."""
    generic = MODELS.load("huggingface")
    loaded = {name: MODELS.load(name) for name in MODELS.names()}
    return {name: cls for name, cls in loaded.items() if isinstance(cls, type) and issubclass(cls, generic)}


def test_every_family_has_a_tiny_checkpoint_or_a_reason():
    unproven = set(re.findall(r"^- `(\w+)`: ", DOCS.partition("## Not proven")[2], re.MULTILINE))
    proven = {family.name for family in FAMILIES}
    assert families().keys() - {"huggingface", "tiny_vlm"} == proven | unproven
    assert not unproven & proven


def test_the_documentation_says_of_each_family_what_is_so():
    for name, cls in families().items():
        default = inspect.signature(cls).parameters["pretrained"].default
        if name == "tiny_vlm":
            continue
        (row,) = (line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert re.findall(r"`(\w+)`", cells[1]) == MODELS.aliases(name)
        assert cells[2].strip("`") == (default or "")
        for family in FAMILIES:
            if family.name == name:
                assert cells[3:] == [", ".join(family.kinds), ", ".join(family.needs)]


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
    one, same, *others = model.score([ask(kind, seed, continuation=" yes no") for seed in (1, 1, 2, 3)])
    assert one.logprob == pytest.approx(same.logprob, abs=1e-5)
    assert max(abs(one.logprob - other.logprob) for other in others) > 3e-4


if WANTING:  # with all packages (`make test-models`) there is none, and its tests are those above

    @pytest.mark.parametrize("family", WANTING, ids=named)
    def test_a_family_that_lacks_a_package_names_it(family, tmp_path):
        family.build(tmp_path)
        with pytest.raises(ModelError, match=f"(?i){'|'.join(family.needs)}"):
            MODELS.load(family.name)(str(tmp_path), device="cpu")


def test_each_argument_of_audio_flamingo_reaches_the_model(tmp_path, monkeypatch):
    family = next(each for each in FAMILIES if each.name == "audio_flamingo_3")
    family.build(tmp_path)
    model = MODELS.load("audio_flamingo_3")(str(tmp_path), device_map="cpu", batch_size=3, use_cache=False)
    seen = []

    def generated(**inputs):
        seen.append(inputs)
        return inputs["input_ids"]

    monkeypatch.setattr(model._model, "generate", generated)
    settings = Generation(temperature=0.5, top_p=0.8, num_beams=2)
    message = Message(role="user", content=PROMPTS["audio"](1))
    model.generate([Request(task="t", doc_id=0, messages=(message,), generation=settings)])
    assert model.max_batch == 3
    assert str(model._device) == "cpu"
    assert seen[0]["use_cache"] is False
    assert (seen[0]["temperature"], seen[0]["top_p"], seen[0]["num_beams"]) == (0.5, 0.8, 2)
    assert (seen[0]["max_new_tokens"], seen[0]["do_sample"]) == (256, True)
    assert seen[0]["input_features"].shape[0] == 1


def test_a_whole_omni_checkpoint_gives_its_thinker(tmp_path):
    """As published: every weight of the thinker below `thinker.`, its settings inside those of the whole."""
    import shutil

    import transformers

    part, whole = tmp_path / "thinker", tmp_path / "whole"
    part.mkdir()
    next(each for each in FAMILIES if each.name == "qwen2_5_omni").build(part)
    thinker = transformers.Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(part)
    config = transformers.Qwen2_5OmniConfig(thinker_config=thinker.config.to_dict(), enable_audio_output=False)
    omni = transformers.Qwen2_5OmniForConditionalGeneration(config)
    omni.thinker.load_state_dict(thinker.state_dict())
    shutil.copytree(part, whole)
    (whole / "model.safetensors").unlink()
    omni.save_pretrained(whole)
    requests = [ask("image", 1, continuation=" yes"), ask("audio", 2, continuation=" yes")]
    scores = [
        [each.logprob for each in MODELS.load("qwen2_5_omni")(str(folder), device="cpu").score(requests)]
        for folder in (part, whole)
    ]
    assert scores[0] == scores[1]
