"""`pytest-lmms models`."""

from __future__ import annotations

import json

from pytest_lmms.registry import MODELS


def test_models_are_listed_with_their_other_names(run):
    found = {entry["name"]: entry["aliases"] for entry in json.loads(run("models", "--json")[1])}
    assert list(found) == MODELS.names()
    assert "hf" in found["huggingface"]
    assert "hf" in run("models")[1]


def test_other_names_have_a_line_each_when_they_are_asked_for(run):
    lines = dict(line.split() for line in run("models", "--aliases")[1].splitlines())
    assert lines["hf"] == "huggingface"
    assert lines["async_hf"] == "async_hf_model"


def test_an_adapter_is_checked_by_name_or_by_its_file(run, tmp_path):
    code, said, _ = run("models", "check", "dummy", "--model-args", "response=B")
    assert (code, said.splitlines()[-1]) == (0, "dummy: fine")
    file = tmp_path / "mine.py"
    file.write_text("class Mine:\n    def generate(self, requests):\n        return [None for _ in requests]\n")
    code, said, _ = run("models", "check", f"{file}:Mine")
    assert code == 1
    assert "the answer is of type NoneType" in said
    code, _, complaint = run("models", "check", "dummy", "--model-args", "respnse=B")
    assert code == 4
    assert "did you mean: response?" in complaint
