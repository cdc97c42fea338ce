"""`pytest-lmms power`."""

from __future__ import annotations

import json

import pytest

from pytest_lmms import stats


def test_power_tells_how_many_documents_are_needed(run):
    code, out, _ = run("power")
    assert code == 0
    assert out.startswith("2181 documents")


def test_power_passes_every_parameter_on(run):
    flags = {"effect": 0.1, "alpha": 0.01, "power": 0.9, "correlation": 0.3, "std_a": 0.4, "std_b": 0.2}
    arguments = [a for name, value in flags.items() for a in (f"--{name.replace('_', '-')}", value)]
    out = json.loads(run("power", *arguments, "--num-documents", 100, "--json")[1])
    assert out.items() >= flags.items()
    effect, power = flags.pop("effect"), flags.pop("power")
    assert out["documents_needed"] == stats.sample_size(effect, power=power, **flags)
    assert out["power_now"] == stats.power(100, effect, **flags)
    assert out["minimum_detectable_effect"] == stats.minimum_detectable_effect(100, power=power, **flags)


def test_power_takes_the_words_of_lmms_eval(run):
    assert run("power", "--effect-size", 0.1) == run("power", "--effect", 0.1)
    assert run("power", "--effect-size", 0.1)[1].startswith("197 documents")


@pytest.mark.parametrize("wrong", [["--alpha", 2], ["--correlation", 1], ["--num-documents", 0], ["--effect", "nan"]])
def test_power_refuses_a_number_out_of_range(run, wrong):
    code, out, err = run("power", *wrong)
    assert (code, out) == (4, "")
    assert wrong[0].strip("-").replace("-", "_") in err
