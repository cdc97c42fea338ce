"""Agentic tasks end to end: calls of a batch model, tools of a served model, histories, traces."""

from __future__ import annotations

import json

CODE = """
def ask(doc, kwargs=None, previous_output=None, round_idx=None, previous_round_info=None):
    if round_idx is None:
        return doc["question"]
    outputs = list(previous_output)
    if round_idx == doc["steps"]:
        return None, "", True, outputs, {"state": {"round": round_idx}}
    return None, f"{doc['question']}, step {round_idx + 1}", False, outputs, {"state": {"round": round_idx}}

def score(doc, results):
    return {"said": len(results[0])}
"""
CONFTEST = """
import json
import pytest
from pytest_lmms.testing import ScriptedModel

@pytest.fixture(scope="session")
def lmms_model():
    model = ScriptedModel(lambda request: f"heard {request.text}")
    yield model
    with open("sizes.json", "w") as file:
        json.dump(model.batch_sizes, file)
"""
FIELDS = {
    "output_type": "generate_until_agentic",
    "doc_to_text": "!function utils.ask",
    "process_results": "!function utils.score",
    "metric_list": [{"metric": "said", "aggregation": "mean", "higher_is_better": True}],
}


def rows(steps):
    return [{"question": f"q{i}", "answer": "A", "steps": n} for i, n in enumerate(steps)]


def test_64_documents_of_8_steps_take_few_more_calls_than_full_batches_would(write_task, run, records_of, pytester):
    write_task(pytester.path / "bench", "toy", rows([8] * 64), code=CODE, **FIELDS)
    pytester.makeconftest(CONFTEST)
    assert run("bench", "--lmms-batch-size", "16", model=None).ret == 0
    sizes = json.loads((pytester.path / "sizes.json").read_text())
    assert [len(record["rounds"][0]) for record in records_of("toy")] == [8] * 64
    assert sum(sizes) == 64 * 8
    assert len(sizes) <= 41  # 1.3 times the ideal of 32
