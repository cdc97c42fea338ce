"""The constant model: cheap enough to measure everything else with."""

from __future__ import annotations

import time

from pytest_lmms.inference.model import BatchModel, Identified
from pytest_lmms.records import Generation, Message, Request
from pytest_lmms.registry import MODELS


def request(doc_id=0):
    return Request(
        task="t",
        doc_id=doc_id,
        messages=(Message(role="user", content=("?",)),),
        generation=Generation(),
    )


def test_it_answers_a_constant():
    model = MODELS.load("dummy")(response="B")
    assert isinstance(model, BatchModel)
    assert isinstance(model, Identified)
    assert [answer.text for answer in model.generate([request(0), request(1)])] == ["B", "B"]
    assert MODELS.load("dummy_video_reader")().generate([request()])[0].text == "A"
    assert model.identity != MODELS.load("dummy")(response="C").identity


def test_a_request_costs_next_to_nothing():
    model = MODELS.load("dummy")()
    batch = [request()] * 100
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(100):
            model.generate(batch)
        best = min(best, time.perf_counter() - start)
    assert best / 10_000 < 2e-6
