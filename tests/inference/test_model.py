"""Settings that an adapter would ignore are named."""

from __future__ import annotations

from pytest_lmms.inference.model import HONOURS_ALL, ignored_settings
from pytest_lmms.records import Generation


def test_a_setting_that_could_change_text_and_is_not_honoured_is_named() -> None:
    generation = Generation(max_new_tokens=16, until=("Q:",), temperature=0.7, top_k=5)
    assert ignored_settings(generation, frozenset({"max_new_tokens"})) == ["temperature=0.7", "top_k=5", "until=['Q:']"]


def test_settings_that_change_nothing_pass() -> None:
    generation = Generation(
        max_new_tokens=16, temperature=0.0, top_p=1.0, num_beams=1, do_sample=False, extra={"image_aspect_ratio": "pad"}
    )
    assert ignored_settings(generation, frozenset({"max_new_tokens"})) == []


def test_an_adapter_that_honours_all_ignores_only_what_nobody_knows() -> None:
    generation = Generation(until=("x",), temperature=1.0, extra={"mirostat": 2})
    assert ignored_settings(generation, HONOURS_ALL) == ["mirostat=2"]


def test_an_adapter_that_does_not_say_is_trusted() -> None:
    assert ignored_settings(Generation(until=("x",)), None) == []
