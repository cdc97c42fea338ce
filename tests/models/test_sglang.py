"""SGLang's adapter: what it says to the engine, what it reads, and that the package has what it relies on."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from pathlib import Path

import pytest

from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.model_args import check_model_args
from pytest_lmms.records import Generation, Message, Request
from pytest_lmms.registry import MODELS

sglang = MODELS.load("sglang")
module = inspect.getmodule(sglang)


def ask(**generation):
    message = Message(role="user", content=("hello",))
    return Request(task="t", doc_id=0, messages=(message,), generation=Generation(**generation), repeat=2)


FULL = ask(
    max_new_tokens=7,
    temperature=0.5,
    do_sample=True,
    top_p=0.9,
    top_k=5,
    seed=1,
    until=("Q:",),
    extra={"repetition_penalty": 1.1, "min_p": 0.1, "stop_token_ids": [3], "image_aspect_ratio": "pad"},
)


def test_settings_are_in_the_engines_words():
    assert module.settings(FULL, max_new_tokens=100) == {
        "max_new_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "sampling_seed": 3, "stop": ["Q:"],
        "repetition_penalty": 1.1, "min_p": 0.1, "stop_token_ids": [3],
    }  # fmt: skip


def test_a_request_that_says_nothing_is_greedy():
    assert module.settings(ask(), max_new_tokens=100) == {"max_new_tokens": 100, "temperature": 0.0}
    assert module.settings(ask(temperature=0.7, do_sample=False), max_new_tokens=9)["temperature"] == 0.0


def piece(kind, **more):
    facts = {"prompt_tokens": 12, "completion_tokens": 5, "cached_tokens": 4, "finish_reason": {"type": kind, **more}}
    return {"text": "a red square", "meta_info": facts}


def test_the_last_piece_is_the_answer():
    found = module.respond(piece("length"), 0.5, 2.5)
    assert (found.text, found.finish_reason) == ("a red square", "length")
    assert found.tokens.as_list == [12, 5, None, 4]
    assert (found.timing.source, found.timing.first_token_seconds, found.timing.seconds_per_token) == (
        "client",
        0.5,
        0.5,
    )


@pytest.mark.parametrize("last", [None, piece("abort", message="too long"), {"text": "half", "meta_info": {}}])
def test_a_stream_that_does_not_end_well_is_no_answer(last):
    with pytest.raises(ModelError, match="too long" if last and last["meta_info"] else "broke off"):
        module.respond(last, 0.1, 0.2)


def test_arguments_that_have_gone_name_their_replacement():
    with pytest.raises(UsageError, match="max_turns"):
        sglang("somewhere", max_turn=3)
    check_model_args(sglang, {"model": "x", "tensor_parallel_size": 8, "batch_size": 4}, model_name="sglang")


SPEC = importlib.util.find_spec("sglang")
installed = pytest.mark.skipif(SPEC is None, reason="SGLang is not installed")


def definitions(path):
    """Classes of a file of the installed package, by name; nothing of it is imported, since it needs a GPU."""
    tree = ast.parse((Path(SPEC.origin).parent / path).read_text(encoding="utf-8"))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def fields(node):
    return {each.target.id for each in node.body if isinstance(each, ast.AnnAssign)}


@installed
def test_the_package_takes_the_sampling_settings():
    known = fields(definitions("srt/sampling/sampling_params.py")["SamplingParams"])
    assert module.settings(FULL, max_new_tokens=1).keys() | {"frequency_penalty", "presence_penalty"} <= known


@installed
def test_the_package_takes_the_arguments_of_a_request():
    engine = definitions("srt/entrypoints/engine.py")["Engine"]
    methods = {each.name: each for each in engine.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))}
    generate = methods["async_generate"]
    assert isinstance(generate, ast.AsyncFunctionDef)
    assert {"prompt", "sampling_params", "image_data", "stream"} <= {each.arg for each in generate.args.args}
    assert "shutdown" in methods


@installed
def test_the_package_takes_the_arguments_of_the_engine():
    folder = Path(SPEC.origin).parent / "srt"
    files = [folder / "server_args.py", *(folder / "arg_groups" / "fields").glob("*.py")]
    known = set().union(*(fields(node) for file in files for node in definitions(file).values()))
    wanted = {"model_path", "tp_size", "dp_size", "mem_fraction_static", "json_model_override_args", "revision"}
    assert wanted | {"trust_remote_code"} <= known
