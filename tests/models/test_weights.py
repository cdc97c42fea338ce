"""LoRA adapters, quantisation by name, and the arguments that every family takes."""

from __future__ import annotations

import inspect
import sys
import warnings

import numpy as np
import pytest

from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.model_args import check_model_args
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS


def load(checkpoint, name="huggingface", **arguments):
    return MODELS.load(name)(str(checkpoint), device="cpu", **arguments)


def module(name):
    MODELS.load("huggingface")
    return sys.modules[f"pytest_lmms._models.{name}"]


def ask(*parts, **generation):
    settings = Generation(**{"max_new_tokens": 8, **generation})
    return Request(task="t", doc_id=0, messages=(Message(role="user", content=parts),), generation=settings)


def clip(count):
    frames = np.random.default_rng(0).integers(0, 256, (count, 56, 56, 3), dtype=np.uint8)
    return MediaRef(kind="video", content=frames)


@pytest.fixture(scope="module")
def adapter(checkpoint, tmp_path_factory):
    """A LoRA adapter with weights that matter, as peft saves one."""
    import peft
    import torch
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adapted = peft.get_peft_model(model, settings)
    folder = tmp_path_factory.mktemp("lora")
    adapted.save_pretrained(folder)
    return folder


def test_a_lora_adapter_changes_what_the_model_says_and_who_it_is(checkpoint, adapter):
    import peft
    from transformers import AutoModelForImageTextToText

    plain, adapted = load(checkpoint), load(checkpoint, peft=str(adapter))
    request = ask("is the red square right?")
    assert adapted.generate([request])[0].text != plain.generate([request])[0].text
    assert adapted.identity != plain.identity
    reference = peft.PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(checkpoint), adapter)
    inputs = adapted.prepare([request]).parts[0].inputs
    expected = reference.generate(**inputs, max_new_tokens=8, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    said = adapted._processing.tokenizer.decode(expected, skip_special_tokens=True)
    assert adapted.generate([request])[0].text == said


def test_an_adapter_that_is_none_is_named(checkpoint, tmp_path):
    with pytest.raises(ModelError, match=r"adapter_config\.json") as caught:
        load(checkpoint, peft=str(tmp_path))
    assert f"peft={tmp_path}" in str(caught.value)


def test_quantisation_is_named_or_refused(checkpoint, monkeypatch):
    weights = module("_weights")
    with pytest.raises(UsageError, match="did you mean: bnb_4bit"):
        load(checkpoint, quantization="bnb_4bits")
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="needs bitsandbytes"):
        load(checkpoint, quantization="bnb_4bit")
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: object())
    four = weights.quantisation_arguments("bnb_4bit")["quantization_config"]
    eight = weights.quantisation_arguments("bnb_8bit")["quantization_config"]
    assert (four.load_in_4bit, four.load_in_8bit) == (True, False)
    assert (eight.load_in_4bit, eight.load_in_8bit) == (False, True)
    assert weights.quantisation_arguments(None) == {}


def test_frames_are_limited_by_either_spelling(checkpoint):
    request = ask(clip(12), "what?")
    counts = {
        name: load(checkpoint, max_pixels=28 * 28, **{name: 3}).generate([request])[0].tokens.input_tokens
        for name in ("max_num_frames", "max_frames")
    }
    many = load(checkpoint, max_pixels=28 * 28, max_frames=6).generate([request])[0].tokens.input_tokens
    assert counts["max_num_frames"] == counts["max_frames"] < many


def test_thinking_is_told_to_the_template(checkpoint, tmp_path):
    template = tmp_path / "chat.jinja"
    template.write_text("{% if enable_thinking is defined %}think={{ enable_thinking }} {% endif %}<|im_start|>")
    told = [load(checkpoint, chat_template=str(template), enable_thinking=value) for value in (None, False, True)]
    prompts = [model._prompt(ask("x"))[0] for model in told]
    assert prompts == ["<|im_start|>", "think=False <|im_start|>", "think=True <|im_start|>"]
    assert len({str(model.identity) for model in told}) == 3


def test_flash_attention_is_asked_for_by_upstreams_flag(checkpoint):
    with pytest.raises(ModelError, match=r"(?i)flash"):
        load(checkpoint, use_flash_attention_2=True)


LOCAL = [
    name
    for name in MODELS.names()
    if isinstance(MODELS.load(name), type) and issubclass(MODELS.load(name), MODELS.load("huggingface"))
]


@pytest.mark.parametrize("name", [name for name in LOCAL if name != "tiny_vlm"])
def test_every_family_takes_the_common_arguments_and_trusts_no_code(name):
    parameters = inspect.signature(MODELS.load(name)).parameters
    common = {"pretrained", "device", "device_map", "batch_size", "use_cache", "attn_implementation", "peft",
              "quantization", "max_pixels", "max_frames", "enable_thinking", "trust_remote_code"}  # fmt: skip
    assert common <= parameters.keys()
    assert parameters["trust_remote_code"].default is False
    assert name == "huggingface" or parameters["pretrained"].default


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("qwen2_vl", {"use_flash_attention_2": True, "max_length": 2048, "max_num_frames": 16}),
        ("internvl3", {"modality": "video", "num_frame": 8, "max_num": 6, "use_flash_attn": False}),
        ("internvl_hf", {"min_patches": 1, "max_patches": 6, "num_frames": 8, "low_cpu_mem_usage": True}),
        ("llava_onevision", {"conv_template": "qwen_1_5", "max_frames_num": 16, "mm_spatial_pool_stride": 2}),
        ("idefics2", {"do_image_splitting": True, "max_frames_num": 8}),
        ("audio_flamingo_3", {"use_cache": False, "device_map": "auto", "batch_size": 4}),
        ("whisper", {"language": "de", "task": "translate", "use_cache": True}),
        ("nanovlm", {"worker_gpus": "0,1", "worker_count": 2, "use_cache": True, "system_prompt": "x"}),
        ("qwen2_audio", {"add_generation_prompt": True, "add_system_prompt": True, "simple_prompt": False}),
    ],
)  # fmt: skip
def test_upstreams_arguments_are_known(name, arguments):
    check_model_args(MODELS.load(name), {"pretrained": "x", **arguments}, model_name=name)


def test_other_spellings_and_idle_arguments_are_what_they_say(checkpoint):
    with pytest.warns(UserWarning, match="max_length has no effect"):
        model = load(checkpoint, "qwen2_vl", max_length=5, max_pixels=784, min_pixels=784)
    assert model.generate([ask("yes", max_new_tokens=7)])[0].tokens.output_tokens == 7
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(checkpoint, "llava_hf", max_frames_num=5)._limits["max_frames"] == 5
    with pytest.raises(UsageError, match="the same argument"):
        load(checkpoint, "llava_hf", max_frames_num=5, max_num_frames=6)


def test_settings_of_the_image_processor_reach_it_or_are_refused(checkpoint):
    model = load(checkpoint, image_settings={"max_pixels": 784})
    assert model.generate([ask(MediaRef(kind="image", content=clip(1).content[0]), "x")])[0].tokens.input_tokens < 20
    with pytest.raises(ModelError, match="has no such setting"):
        load(checkpoint, image_settings={"no_such_setting": 1})
