"""Answers made to keep a scorer busy: each benchmark's rules read them in time that grows with their length."""

from __future__ import annotations

import os
import signal

import pytest

from pytest_lmms.records import Response
from pytest_lmms.scoring.build import build_scorer
from pytest_lmms.scoring.score import score
from tests.contract.test_bad_responses import tasks_by_scorer

NUM_CHARACTERS = int(os.environ.get("HOSTILE_CHARACTERS", "30000"))
"""`make fuzz-answers` makes it a million."""
CPU_SECONDS = 3 + NUM_CHARACTERS / 200_000
"""Of one answer."""
PIECES = [
    " ", "\n", "a", "A ", "(", "(A", "[", "{", "<", "\\boxed{", "answer is ", "1", "1,", "0.", "-", "\t\n ", "A, ",
    "**", "<answer>", "Answer: ", "\\frac{", "$", "```", "'", '"', ". ", "x=1 ", "<bbox>", "<1>a", "<|", "<|a\n|>",
    "option A ", "((1+", '{"a": ', "[1, 2], ", "\\sqrt{", "^2", "答案", "- a\n", "1. a\n", "<think>", "</think>",
    "10:20 ",     "a-b-", "_", "|", "Action: ", "9" * 400 + " ", "a.b@", "A and B ", "\\text{",
]  # fmt: skip
"""Each is repeated, and followed by what makes a match fail at the end."""
TASKS = list(tasks_by_scorer())
CONFTEST = """
import pytest
from pytest_lmms.records import Response

class Model:
    def generate(self, requests):
        return [Response(text="a" * 60 + "!" if r.doc_id == 3 else "b aa") for r in requests]

@pytest.fixture(scope="session")
def lmms_model():
    return Model()
"""


@pytest.fixture
def cpu_limit():
    """Ends a scorer that hangs. The signal reaches an expression of `re` while it matches, on the main thread."""

    def ring(*_):
        raise TimeoutError("the scorer is still busy")

    previous = signal.signal(signal.SIGPROF, ring)
    yield lambda seconds: signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, previous)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_repeated_pieces_end_in_a_record(task, cpu_limit):
    rows = task.open_rows("mini")
    document = rows.document(0)
    scorer = build_scorer(task, reasoning_tags=(), full_docs=lambda: [document])
    score(scorer, document, [Response(text="A")] * task.repeats, doc_id=0)  # imports libraries
    slow = []
    for piece in PIECES:
        text = (piece * (NUM_CHARACTERS // len(piece))) + "!\x00"
        cpu_limit(CPU_SECONDS)
        try:
            score(scorer, document, [Response(text=text)] * task.repeats, doc_id=0)
        except TimeoutError:
            slow.append(piece)
        finally:
            cpu_limit(0)
    assert not slow, f"{task.name} is kept busy by a repeated {', '.join(map(repr, slow))}"


@pytest.mark.parametrize("workers", [0, 2])
def test_an_answer_that_a_tasks_own_expression_never_ends_on_costs_one_document(lab, workers):
    (lab.path / "conftest.py").write_text(CONFTEST)
    filters = [{"function": "regex", "regex_pattern": "(a+)+$"}, {"function": "take_first"}]
    rows = [{"question": f"q{i}", "answer": "aa"} for i in range(8)]
    lab.task(rows, filter_list=[{"name": "found", "filter": filters}])
    run = lab.run("-n", str(workers))
    assert run.code == 1, run
    assert (lab.results["counts"]["n_scored"], lab.results["counts"]["n_error"]) == (7, 1)
    assert lab.results["results"]["toy"]["exact_match,found"] == 1.0
    assert [r["doc_id"] for r in lab.records() if r["status"] == "error"] == [3]
    assert "'(a+)+$' took more than 3 s on a text of 61 characters" in run.output


def test_what_writes_results_is_parsed_before_a_document_is_asked(lab):
    loaded = CONFTEST.replace(
        'return [Response(text="a"',
        'import sys; assert "pytest_lmms.results.report" in sys.modules; return [Response(text="a"',
    )
    (lab.path / "conftest.py").write_text(loaded)
    lab.task([{"question": "q", "answer": "b aa"}] * 4)
    assert lab.run().code == 0
    assert lab.results["counts"]["n_error"] == 0
