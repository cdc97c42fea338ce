"""What other harnesses lose, leak or make up; `tools/bench/faults.py` shows both sides of the same cases."""

from __future__ import annotations

import json

from tests.faults.conftest import CANARY

OPENAI = ("--lmms-model", "openai", "--lmms-model-args", "model=m,max_retries=0")
DEAD = "http://127.0.0.1:9/v1"
RAISING = """
def process_results(doc, results):
    if doc["answer"] == "Z" and results[0] == "A":
        raise KeyError("gold")
    return {"exact_match": float(results[0] == doc["answer"])}
"""


def test_a_dead_endpoint_makes_errors_and_no_score_and_the_next_run_heals(remote, server, monkeypatch):
    remote.task(10)
    monkeypatch.setenv("OPENAI_API_BASE", DEAD)
    run = remote.run(*OPENAI, "--lmms-cache", "cache")
    assert run.code == 1, run
    counts = remote.results["counts"]
    assert (counts["n_scored"], counts["n_error"]) == (0, 10)
    assert not any(isinstance(value, float) for value in remote.results["results"]["toy"].values())
    assert not list((remote.path / "cache").rglob("*.jsonl"))
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    run = remote.run(*OPENAI, "--lmms-cache", "cache")
    assert run.code == 0, run
    assert len(server.requests) == 10
    assert remote.results["results"]["toy"]["exact_match,none"] == 1.0


def test_the_same_command_twice_asks_once(remote, server):
    remote.task(10)
    for _ in range(2):
        assert remote.run(*OPENAI, "--lmms-cache", "cache").code == 0
    assert len(server.requests) == 10


def test_a_scorer_that_raises_on_one_of_200_costs_one_document(lab):
    rows = [{"question": f"q{i}", "answer": "Z" if i == 57 else "A"} for i in range(200)]
    lab.task(rows, code=RAISING, process_results="!function utils.process_results")
    lab.task(5, name="other")
    run = lab.run("--lmms-batch-size", "20")
    assert run.code == 1, run
    counts = lab.results["counts"]
    assert (counts["n_scored"], counts["n_error"]) == (204, 1)
    assert [r["doc_id"] for r in lab.records() if r["status"] == "error"] == [57]
    assert len(lab.records("other")) == 5
    assert "utils.py:4" in run.output


def test_a_documents_hash_is_its_own_and_the_same_in_every_run(lab):
    lab.task(20)
    hashes = []
    for _ in range(2):
        assert lab.run().code == 0
        hashes.append([record["doc_hash"] for record in lab.records()])
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0])) == 20


def test_a_failure_that_a_response_describes_is_text_and_a_failure_is_no_response(remote, server):
    """The text that another harness puts in a failed response's place gets no special treatment here."""
    remote.task(2)
    server.plan = [{"text": "[LMMS_EVAL_REQUEST_FAILED after 3 retries]"}]
    run = remote.run(*OPENAI)
    assert run.code == 0, run
    assert remote.results["counts"]["n_scored"] == 2
    assert remote.results["results"]["toy"]["exact_match,none"] == 0.5


def test_a_key_is_in_no_store(remote, server):
    remote.task(3)
    assert remote.run(*OPENAI, "--lmms-cache", "cache").code == 0
    stored = b"".join(p.read_bytes() for p in (remote.path / "cache").rglob("*") if p.is_file())
    assert b'"responses"' in stored
    assert CANARY.encode() not in stored


def test_what_a_model_writes_is_never_evaluated(remote, server):
    """Responses and arguments of tools alike: neither runs, and what ran would leave a file."""
    marker = remote.path / "evaluated"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    remote.task(3)
    call = {"id": "1", "type": "function", "function": {"name": "python", "arguments": code}}
    server.plan = [{"text": code}, {"text": "", "calls": [call]}]
    run = remote.run(*OPENAI)
    assert run.code in (0, 1), run
    assert not marker.exists()


def test_a_task_finished_before_the_run_is_killed_is_kept(lab):
    lab.task(5, name="a_first")
    lab.task([{"question": f"q{i}", "answer": "A"} for i in range(8)], name="b_second")
    lab.plan(kills=[7])
    assert lab.run().code == -9
    asked = lab.asked()
    lab.plan()
    run = lab.run("--lmms-resume")
    assert run.code == 0, run
    assert len(lab.records("a_first")) == 5
    assert sum(lab.asked().values()) == sum(asked.values()) + 1
    assert json.loads((lab.run_path / "run.json").read_text())["status"] != "running"
