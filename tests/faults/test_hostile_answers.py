"""Answers made to keep a scorer busy: each benchmark's rules read them in time that grows with their length."""

from __future__ import annotations

import signal

import pytest

from pytest_lmms.records import Response
from pytest_lmms.scoring.build import build_scorer
from pytest_lmms.scoring.score import score
from tests.contract.test_bad_responses import tasks_by_scorer

LENGTH = 10_000
LIMIT_SECONDS = 20
PIECES = [
    " ", "\n", "a", "A ", "(", "(A", "[", "{", "<", "\\boxed{", "answer is ", "1", "1,", "0.", "-", "\t\n ", "A, ",
    "**", "<answer>", "Answer: ", "\\frac{", "$", "```", "'", '"', ". ",
]  # fmt: skip
"""Each is repeated, and followed by what makes a match fail at the end."""
TASKS = list(tasks_by_scorer())


@pytest.fixture
def time_limit():
    """End a test that hangs. The signal reaches an expression of `re` while it matches, on the main thread."""

    def ring(*_):
        raise TimeoutError("the scorer is still busy")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_repeated_pieces_end_in_a_record(task, time_limit):
    rows = task.open_rows("mini")
    document = rows.document(0)
    scorer = build_scorer(task, reasoning_tags=(), full_docs=lambda: [document])
    for piece in PIECES:
        text = (piece * (LENGTH // len(piece))) + "!\x00"
        try:
            score(scorer, document, [Response(text=text)], doc_id=0)
        except TimeoutError as error:
            raise AssertionError(f"{task.name}: {piece!r} repeated keeps the scorer busy") from error
