"""`pytest-lmms models`."""

from __future__ import annotations

import json

from pytest_lmms.registry import MODELS


def test_models_are_listed_with_their_other_names(run):
    found = {entry["name"]: entry["aliases"] for entry in json.loads(run("models", "--json")[1])}
    assert list(found) == MODELS.names()
    assert "hf" in found["huggingface"]
    assert "hf" in run("models")[1]
