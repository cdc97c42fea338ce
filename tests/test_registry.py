"""Names of models: listing imports nothing, mistakes are named before anything loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.model_args import check_model_args, parse_model_args
from pytest_lmms.registry import MODELS, Registry


def fresh(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_listing_models_and_loading_their_classes_imports_no_heavy_library():
    code = (
        "import inspect, sys\n"
        "from pytest_lmms.registry import MODELS\n"
        "assert not [m for m in sys.modules if m.startswith('pytest_lmms._models.')]\n"
        "for name in MODELS.names():\n"
        "    inspect.signature(MODELS.load(name))\n"
        "heavy = {'torch', 'transformers', 'openai', 'numpy', 'datasets'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    assert fresh(code).strip() == "[]"


def test_every_built_in_model_and_alias_is_known():
    assert {"huggingface", "qwen2_5_vl", "tiny_vlm", "dummy", "scripted", "from_log", "openai"} <= (set(MODELS.names()))
    assert MODELS.canonical("hf") == "huggingface"
    assert MODELS.canonical("hf_chat") == "huggingface"
    assert MODELS.canonical("qwen2_5_vl_chat") == "qwen2_5_vl"
    assert MODELS.canonical("dummy_video_reader") == "dummy"
    assert MODELS.aliases("openai") == ["openai_compatible", "openai_compatible_chat"]


def test_an_unknown_model_is_a_usage_error_with_the_one_that_was_meant():
    with pytest.raises(UsageError, match="did you mean: qwen2_5_vl"):
        MODELS.canonical("qwen25_vl")


def test_a_name_is_not_registered_twice_unless_said_so():
    registry = Registry("model", listing="list")
    registry.register("a", "x:A", aliases=["b"])
    with pytest.raises(UsageError, match="registered twice"):
        registry.register("b", "y:B")
    with pytest.raises(UsageError, match="module:attribute"):
        registry.register("c", "nowhere")
    registry.register("b", "y:B", replace=True)
    assert registry.target("b") == "y:B"
    assert registry.names() == ["a", "b"]
    assert "b" in registry


def test_a_target_may_be_a_file_anywhere(tmp_path):
    (tmp_path / "mine.py").write_text("class Mine: ...\n")
    registry = Registry("model", listing="list")
    registry.register("mine", f"{tmp_path / 'mine.py'}:Mine")
    registry.register("wrong", f"{tmp_path / 'mine.py'}:Mime")
    registry.register("gone", "no_such_package_at_all:Thing")
    assert registry.load("mine").__name__ == "Mine"
    with pytest.raises(ModelError, match="did you mean: Mine"):
        registry.load("wrong")
    with pytest.raises(ModelError, match="no_such_package_at_all"):
        registry.load("gone")


class Adapter:
    def __init__(self, pretrained, *, max_num_frames=32, use_cache=True):
        pass


def test_unknown_and_missing_arguments_are_named_before_loading():
    check_model_args(Adapter, {"pretrained": "x", "use_cache": False}, model_name="mine")
    with pytest.raises(UsageError, match="did you mean: max_num_frames") as caught:
        check_model_args(Adapter, {"pretrained": "x", "max_frames_num": 8}, model_name="mine")
    assert "pretrained, max_num_frames, use_cache" in str(caught.value)
    with pytest.raises(UsageError, match="did you mean: use_cache"):
        check_model_args(Adapter, {"pretrained": "x", "use_cach": 8}, model_name="mine")
    with pytest.raises(UsageError, match="needs the argument 'pretrained'"):
        check_model_args(Adapter, {}, model_name="mine")


def test_a_constructor_with_free_keywords_takes_every_name():
    class Free:
        def __init__(self, **kwargs):
            pass

    check_model_args(Free, {"anything": 1}, model_name="free")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1,b=2.5,c=x", {"a": 1, "b": 2.5, "c": "x"}),
        ("a=-1,b=1e-3,c=-.5", {"a": -1, "b": 1e-3, "c": -0.5}),
        ("a=true,b=FALSE,c=None,d=none", {"a": True, "b": False, "c": None, "d": None}),
        ("a='x,y',b=\"1\"", {"a": "x,y", "b": "1"}),
        ('a=[1,2],b={"k": [1, 2]},c=d', {"a": [1, 2], "b": {"k": [1, 2]}, "c": "d"}),
        ("a=f(x,y),b=[x,y]", {"a": "f(x,y)", "b": "[x,y]"}),
        ('a={"k": "}, {"},b=1', {"a": {"k": "}, {"}, "b": 1}),
        ("base_url=http://h:1/v1?a=b,model=o/p", {"base_url": "http://h:1/v1?a=b", "model": "o/p"}),
        ("a= spaced , b =2,", {"a": "spaced", "b": 2}),
        ("a=Don't say,b=2024_11", {"a": "Don't say", "b": "2024_11"}),
        ("a=", {"a": ""}),
    ],
)
def test_model_arguments_are_read(text, expected):
    arguments = parse_model_args(text)
    assert arguments == expected
    assert [type(v) for v in arguments.values()] == [type(v) for v in expected.values()]


@pytest.mark.parametrize("text", ["a", "=1", "a=1,b", "a=1,a=2", "a=[1,2", "a='x"])
def test_model_arguments_that_cannot_be_read_are_usage_errors(text):
    with pytest.raises(UsageError, match="--lmms-model-args"):
        parse_model_args(text)
