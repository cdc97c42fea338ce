"""Rows that lack a value, in real runs: each costs itself, and what the others scored is in the results."""

from __future__ import annotations

import pytest

CODE = """from pytest_lmms.tasks.rowwise import each_row

def _in_capitals(row):
    return {"answer": row["answer"].upper()}

def rows(dataset):
    return each_row(dataset, _in_capitals)

def process(doc, results):
    return {"share": {"place": doc["place"], "score": float(doc["answer"] == results[0])}}

def share(items):
    ordered = sorted(items, key=lambda item: int(item["place"]))
    return sum(item["score"] for item in ordered) / len(ordered)
"""
METRICS = [{"metric": "share", "aggregation": "!function utils.share", "higher_is_better": True}]


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_that_cannot_be_changed_or_aggregated_cost_themselves(lab, workers):
    rows = [{"question": f"q{i}", "answer": "a", "place": i} for i in range(8)]
    rows[0]["answer"], rows[5]["place"], rows[6]["answer"] = None, None, "b"
    fields = {"process_docs": "!function utils.rows", "process_results": "!function utils.process"}
    lab.task(rows, code=CODE, metric_list=METRICS, **fields)
    run = lab.run("-n", str(workers))
    assert run.code == 1, run
    assert "toy.yaml::toy[0]: process_docs failed with AttributeError: 'NoneType' object has no attribute" in run.output
    result = lab.results["results"]["toy"]
    assert (result["n_scored"], result["n_error"], result["complete"]) == (7, 1, False)
    assert result["share,none"] == 5 / 6
    (complaint,) = lab.results["complaints"]
    assert "aggregation share of metric share failed over 7 documents with TypeError: int()" in complaint
    assert complaint.endswith("left out 1 document on which it fails alone: toy[5]")
    assert complaint in run.output


CONFTEST = """
import pytest
from pytest_lmms.records import Response

class Model:
    def generate(self, requests):
        return [Response(text="A\\ud800" if r.doc_id == 2 else "A") for r in requests]

@pytest.fixture(scope="session")
def lmms_model():
    return Model()
"""
HALF = """def process(doc, results):
    if results[0] not in ("", "A"):
        raise ValueError(f"cannot read {results[0]}")
    return {"right": float(doc["answer"] == results[0])}
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("-n", "2", "--setup-show")])
def test_half_of_a_surrogate_pair_in_an_error_costs_its_document(lab, arguments):
    (lab.path / "conftest.py").write_text(CONFTEST)
    metrics = [{"metric": "right", "aggregation": "mean", "higher_is_better": True}]
    lab.task(6, code=HALF, metric_list=metrics, process_results="!function utils.process")
    run = lab.run(*arguments)
    assert run.code == 1, run
    assert "cannot read A\\ud800" in run.output
    assert lab.results["results"]["toy"]["right,none"] == 1.0
    assert (lab.results["counts"]["n_scored"], lab.results["counts"]["n_error"]) == (5, 1)
