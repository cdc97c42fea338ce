"""Local checkpoints: batches, stop strings, counts and memory, on a real (random) Qwen2.5-VL."""

from __future__ import annotations

import json
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pytest_lmms.errors import MediaError, ModelError, OutOfMemoryError, UsageError
from pytest_lmms.inference.model import BatchModel, Identified, Prepares
from pytest_lmms.model_args import check_model_args
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS

WORDS = ("is", "the", "red", "square", "yes", "no", "A", "B", "C", "option", "right", "image")


def picture(seed=0, height=60, width=48):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return MediaRef(kind="image", content=pixels)


def ask(*parts, doc_id=0, repeat=0, system=None, **generation):
    messages = (Message(role="user", content=parts),)
    if system is not None:
        messages = (Message(role="system", content=(system,)), *messages)
    return Request(
        task="t",
        doc_id=doc_id,
        repeat=repeat,
        messages=messages,
        generation=Generation(**{"max_new_tokens": 12, **generation}),
    )


def mixed_requests(count):
    """Requests with 0 to 3 images of many sizes, around texts of many lengths."""
    chance = random.Random(0)
    requests = []
    for index in range(count):
        parts = [
            picture(10 * index + each, chance.randint(20, 110), chance.randint(20, 110)) for each in range(index % 4)
        ]
        parts.insert(chance.randint(0, len(parts)), " ".join(chance.choices(WORDS, k=3 + index)))
        requests.append(ask(*parts, doc_id=index))
    return requests


def load(checkpoint, name="huggingface", **arguments):
    return MODELS.load(name)(str(checkpoint), device="cpu", **arguments)


@pytest.fixture(scope="module")
def model(checkpoint):
    return load(checkpoint)


def texts(responses):
    return [response.text for response in responses]


def test_it_keeps_the_contracts(model):
    assert isinstance(model, BatchModel)
    assert isinstance(model, Prepares)
    assert isinstance(model, Identified)
    json.dumps(model.identity)


def test_a_mixed_batch_gives_the_texts_of_one_request_at_a_time(model):
    assert model.batch_invariant
    requests = mixed_requests(16)
    alone = [model.generate([request])[0] for request in requests]
    assert len(set(texts(alone))) > 12
    for size in (3, 16):
        for order in (requests, requests[::-1]):
            together = []
            for start in range(0, len(order), size):
                together += model.generate(order[start : start + size])
            by_doc = {r.doc_id: answer for r, answer in zip(order, together, strict=True)}
            assert [by_doc[n].text for n in range(16)] == texts(alone)
            assert [by_doc[n].tokens for n in range(16)] == [answer.tokens for answer in alone]


def test_a_text_only_batch_is_not_disturbed_by_the_images_before_it(model, checkpoint):
    request = ask("is the red square right?")
    before = load(checkpoint).generate([request])[0].text
    model.generate([ask(picture(), "what?"), ask("x"), ask(picture(2), picture(3), "what?")])
    assert texts(model.generate([request, request])) == [before, before]


def test_the_answer_depends_on_the_image(model):
    answers = texts(model.generate([ask(picture(seed), "is it red?") for seed in range(6)]))
    assert len(set(answers)) > 1


def test_the_order_of_parts_matters(model):
    one, two = picture(1), picture(2)
    answers = texts(model.generate([ask(one, two, "what?"), ask(two, one, "what?"), ask(one, "what?", two)]))
    assert len(set(answers)) > 1


def test_stop_strings_cut_the_text_and_end_generation(model):
    requests = [ask(picture(n), "is it red?", max_new_tokens=40) for n in range(4)]
    free = model.generate(requests)
    stop = free[0].text[10:13]
    stopped = model.generate(
        [ask(picture(n), "is it red?", max_new_tokens=40, until=(stop, "never said")) for n in range(4)]
    )
    for before, after in zip(free, stopped, strict=True):
        assert after.text == before.text.split(stop)[0]
        if stop in before.text:
            assert after.finish_reason == "stop"
            assert after.tokens.output_tokens <= before.tokens.output_tokens
        else:
            assert after == before or after.tokens == before.tokens
    assert stopped[0].tokens.output_tokens < free[0].tokens.output_tokens


def test_generation_ends_early_when_every_row_has_stopped(model):
    text = model.generate([ask("yes", max_new_tokens=40)])[0].text
    steps = []
    hook = model._model.register_forward_hook(lambda *_: steps.append(1))
    model.generate([ask("yes", max_new_tokens=40, until=(text[:2],))] * 2)
    hook.remove()
    assert 1 <= len(steps) <= 8


def test_input_tokens_are_counted_with_images_and_without_padding(model):
    short, long, shown = model.generate([ask("yes"), ask("yes " * 30), ask(picture(0, 56, 84), "yes")])
    assert short.tokens.input_tokens < long.tokens.input_tokens
    # 56 x 84 pixels are 4 x 6 patches, 2 x 2 of which make a token; two tokens mark start and end.
    assert shown.tokens.input_tokens == short.tokens.input_tokens + 6 + 2


def test_output_tokens_and_the_reason_tell_who_ended_the_text(model, monkeypatch):
    response = model.generate([ask("yes", max_new_tokens=7)])[0]
    assert (response.finish_reason, response.tokens.output_tokens) == ("length", 7)

    def generated(**inputs):
        import torch

        eos, pad = inputs["eos_token_id"][-1], inputs["pad_token_id"]
        new = torch.tensor([[40, 41, eos, pad, pad], [40, 41, 42, 43, eos], [40, 41, 42, 43, 44]])
        return torch.cat([inputs["input_ids"], new], dim=1)

    monkeypatch.setattr(model._model, "generate", generated)
    responses = model.generate([ask("yes"), ask("no"), ask("A")])
    assert [r.tokens.output_tokens for r in responses] == [2, 4, 5]
    assert [r.finish_reason for r in responses] == ["stop", "stop", "length"]
    assert not any("<|" in r.text for r in responses)


def test_settings_reach_generate(model, monkeypatch):
    seen = []

    def generated(**inputs):
        seen.append(inputs)
        return inputs["input_ids"]

    monkeypatch.setattr(model._model, "generate", generated)
    model.generate([ask("a")])
    model.generate([ask("a", temperature=0.7, top_p=0.9, top_k=5, num_beams=2, extra={"min_new_tokens": 3})])
    model.generate([ask("a", temperature=0.7, do_sample=False, extra={"image_aspect_ratio": 1})])
    model.generate([ask("a", max_new_tokens=None, until=("<|vision_end|>",))])
    greedy, sampled, forced, special = seen
    assert (greedy["do_sample"], greedy["temperature"], greedy["num_beams"]) == (False, None, 1)
    assert (sampled["do_sample"], sampled["temperature"], sampled["top_p"]) == (True, 0.7, 0.9)
    assert (sampled["top_k"], sampled["num_beams"], sampled["min_new_tokens"]) == (5, 2, 3)
    assert forced["do_sample"] is False
    assert "image_aspect_ratio" not in forced
    assert special["max_new_tokens"] == 4096
    assert model._processing.tokenizer.convert_tokens_to_ids("<|vision_end|>") in special["eos_token_id"]


def test_a_seed_makes_sampling_repeatable_and_repeats_differ(model):
    import torch

    def say(**more):
        return model.generate([ask("yes", temperature=2.0, max_new_tokens=20, **more)])[0].text

    state = torch.random.get_rng_state()
    first = say(seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    assert say(seed=1) == first
    assert say(seed=2) != first
    assert say(seed=1, repeat=1) != first


def test_beams_generate(model):
    response = model.generate([ask(picture(), "yes", num_beams=3, until=("e",))])[0]
    assert "e" not in response.text


def test_timing_is_the_wall_time_of_the_batch(model):
    responses = model.generate([ask("a"), ask("b")])
    assert responses[0].timing.seconds == responses[1].timing.seconds > 0
    assert responses[0].timing.batch_size == 2


def test_the_first_token_comes_before_the_last(model):
    long, short = model.generate([ask(picture(n), "is it red?", max_new_tokens=20, until=("x",)) for n in (0, 1)])
    for response in (long, short):
        timing = response.timing
        assert timing.source == "hook"
        assert 0 < timing.first_token_seconds < timing.seconds
        steps = response.tokens.output_tokens - 1
        assert 0 < timing.first_token_seconds + steps * timing.seconds_per_token <= timing.seconds
    one = model.generate([ask("a", max_new_tokens=1)])[0].timing
    assert one.first_token_seconds > 0
    assert one.seconds_per_token is None
    beams = model.generate([ask("a", num_beams=2)])[0].timing
    assert (beams.source, beams.first_token_seconds, beams.seconds_per_token) == ("wall", None, None)


def rendered(model, request):
    text, shown = model._prompt(request)
    return text, shown.images


def test_the_system_prompt_is_said_unless_the_request_has_its_own(checkpoint):
    model = load(checkpoint, system_prompt="Be brief.", reasoning_prompt="\\nThink first.")
    text, _ = rendered(model, ask("yes? "))
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nyes?\nThink first.<|im_end|>\n<|im_start|>assistant\n"
    )
    assert "Be brief." not in rendered(model, ask("yes?", system="Be long."))[0]


def test_interleaved_images_stand_where_the_text_mentions_them(checkpoint):
    model = load(checkpoint, interleave_visuals=True)
    small, large = picture(1, 28, 28), picture(2, 56, 56)
    text, images = rendered(model, ask(small, large, "first <image 2> then <image 1>."))
    vision = "<|vision_start|><|image_pad|><|vision_end|>"
    assert f"first {vision} then {vision}." in text
    assert [image.size for image in images] == [(56, 56), (28, 28)]


def test_large_images_are_shrunk_on_demand(checkpoint):
    model = load(checkpoint, max_image_size=30)
    _, images = rendered(model, ask(picture(0, 60, 40), "yes"))
    assert images[0].size == (20, 30)


def test_pixel_limits_change_how_many_tokens_an_image_takes(checkpoint):
    request = ask(picture(0, 84, 84), "yes")
    few = load(checkpoint, max_pixels=28 * 28).generate([request])[0]
    many = load(checkpoint, min_pixels=112 * 112, max_pixels=112 * 112).generate([request])[0]
    assert few.tokens.input_tokens + 15 == many.tokens.input_tokens


def test_preparing_is_safe_on_several_threads(model):
    requests = mixed_requests(12)
    expected = texts(model.generate(requests))
    barrier = threading.Barrier(4)

    def prepare(part):
        barrier.wait(timeout=60)
        return [model.prepare(requests) for _ in range(3)][part % 3]

    with ThreadPoolExecutor(4) as pool:
        for prepared in pool.map(prepare, range(4)):
            assert texts(model.generate_prepared(prepared, requests)) == expected


@pytest.mark.parametrize("kind", ["cuda", "cpu", "python"])
def test_memory_that_ran_out_is_told_to_the_engine(model, monkeypatch, kind):
    import torch

    error = {
        "cuda": torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 99 bytes"),
        "python": MemoryError(),
    }[kind]

    def fail(**_):
        raise error

    monkeypatch.setattr(model._model, "generate", fail)
    with pytest.raises(OutOfMemoryError, match="a batch of 2") as caught:
        model.generate([ask("a"), ask("b")])
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_other_errors_stay_what_they_are(model, monkeypatch):
    def fail(**_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(model._model, "generate", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        model.generate([ask("a")])


def test_what_cannot_be_shown_is_named(model, tmp_path):
    with pytest.raises(ModelError, match="cannot be shown audio"):
        model.generate([ask(MediaRef(kind="audio", path="a.wav"), "what?")])
    with pytest.raises(MediaError, match=r"a\.mp4"):
        model.generate([ask(MediaRef(kind="video", path="a.mp4"), "what?")])
    with pytest.raises(MediaError, match=r"none\.png"):
        model.generate([ask(MediaRef(kind="image", path=str(tmp_path / "none.png")), "what?")])


def test_identity_follows_weights_arguments_and_template(checkpoint, tmp_path):
    first = load(checkpoint).identity
    assert load(checkpoint).identity == first
    moved = shutil.copytree(checkpoint, tmp_path / "moved")
    assert load(moved).identity == first
    assert load(checkpoint, max_pixels=28 * 28).identity != first
    assert load(checkpoint, system_prompt="x").identity != first
    assert load(checkpoint, dtype="bfloat16").identity != first
    template = moved / "chat_template.jinja"
    template.write_text(template.read_text() + "\n")
    assert load(moved).identity["processing"]["chat_template"] != first["processing"]["chat_template"]


def test_large_checkpoints_are_told_apart_by_size_and_time(checkpoint, monkeypatch):
    loading = __import__("sys").modules["pytest_lmms._models._loading"]
    monkeypatch.setattr(loading, "SMALL_CHECKPOINT_BYTES", 10)
    files = load(checkpoint).identity["weights"]["files"]
    assert ["model.safetensors", (checkpoint / "model.safetensors").stat().st_size] in [each[:2] for each in files]


def test_half_precision_does_not_claim_to_be_batch_invariant(checkpoint):
    model = load(checkpoint, dtype="bf16")
    assert not model.batch_invariant
    assert model.generate([ask(picture(), "yes")])[0].tokens.output_tokens


def test_what_cannot_be_loaded_is_named_with_a_remedy(checkpoint, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="pretrained="):
        MODELS.load("huggingface")()
    with pytest.raises(ModelError, match="no such folder"):
        load(tmp_path / "nothing")
    with pytest.raises(ModelError, match="dtype='float99'"):
        load(checkpoint, dtype="float99")
    with pytest.raises(ModelError, match="torch sees no CUDA"):
        MODELS.load("huggingface")(str(checkpoint), device="cuda:0")
    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="complete checkpoint") as caught:
        load(broken)
    assert f"pretrained={broken}" in str(caught.value)
    without = shutil.copytree(checkpoint, tmp_path / "without")
    (without / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        load(without)


def test_a_hub_name_without_a_network_says_so(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="cannot reach the hub") as caught:
        load("nobody/no-such-model")
    assert "pretrained=nobody/no-such-model" in str(caught.value)


def test_the_family_has_upstreams_arguments_and_defaults():
    import inspect

    parameters = inspect.signature(MODELS.load("qwen2_5_vl")).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    assert defaults["pretrained"] == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert (defaults["min_pixels"], defaults["max_pixels"]) == (200704, 1605632)
    assert (defaults["max_num_frames"], defaults["max_new_tokens"]) == (32, 128)
    assert defaults["system_prompt"] == "You are a helpful assistant."
    assert (defaults["use_cache"], defaults["interleave_visuals"]) == (True, False)
    with pytest.raises(UsageError, match="did you mean: max_num_frames"):
        check_model_args(MODELS.load("qwen2_5_vl"), {"max_frames_num": 8}, model_name="qwen2_5_vl")


def test_the_tiny_model_uses_the_checkpoints_own_pixels_and_can_be_made_worse(checkpoint):
    tiny = load(checkpoint, "tiny_vlm")
    assert tiny.generate([ask(picture(0, 28, 28), "yes")])[0].tokens.input_tokens < 80
    noisy, same, worse = (load(checkpoint, "tiny_vlm", noise=noise) for noise in (0.5, 0.5, 1.0))
    request = ask(picture(), "is it red?")
    assert texts(noisy.generate([request])) == texts(same.generate([request]))
    assert texts(noisy.generate([request])) != texts(tiny.generate([request]))
    assert len({json.dumps(each.identity) for each in (tiny, noisy, same, worse)}) == 3
    with pytest.raises(UsageError, match="noise"):
        load(checkpoint, "tiny_vlm", noise=-1)
