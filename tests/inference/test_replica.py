"""A model that somebody else drives."""

from __future__ import annotations

import pickle
import threading

import pytest

from pytest_lmms.errors import LmmsError, ModelError, OutOfMemoryError, UsageError
from pytest_lmms.inference.replica import Replica
from pytest_lmms.records import Generation, Message, Request

CODE = """
import threading
from pytest_lmms.errors import OutOfMemoryError
from pytest_lmms.records import Response

class Prepared:
    honours = frozenset({"until"})
    identity = {"weights": "none"}

    def __init__(self, *, breaks=False):
        if breaks:
            raise OSError("no weights")
        self.threads = [threading.get_ident()]

    def prepare(self, requests):
        return [request.text.upper() for request in requests]

    def generate_prepared(self, prepared, requests):
        self.threads.append(threading.get_ident())
        if "large" in requests[0].text:
            raise OutOfMemoryError("too large")
        if "bug" in requests[0].text:
            raise ZeroDivisionError("by a bug")
        return [Response(text=f"{text} {len(set(self.threads))}") for text in prepared]
"""


def request(text, number=0):
    return Request(
        task="t", doc_id=number, messages=(Message(role="user", content=(text,)),), generation=Generation()
    )  # fmt: skip


@pytest.fixture
def target(tmp_path):
    (tmp_path / "prepared.py").write_text(CODE)
    return f"{tmp_path / 'prepared.py'}:Prepared"


def test_a_replica_tells_what_its_model_is_and_answers_on_the_thread_that_built_it(target):
    replica = Replica()
    loaded = replica.load("mine", target, {})
    assert not isinstance(loaded, LmmsError)
    assert loaded.identity == {"weights": "none"}
    assert loaded.attributes == {"honours": frozenset({"until"})}
    assert not loaded.scores
    answers = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(replica.answer([request(f"q{n}")])[0].text))
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["Q0 1", "Q1 1", "Q2 1"]


def test_a_response_says_how_long_the_model_took(target):
    replica = Replica()
    replica.load("mine", target, {})
    (one, two) = replica.answer([request("a"), request("b", 1)])
    assert one.timing.batch_size == two.timing.batch_size == 2
    assert 0 <= one.timing.seconds < 60


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [("large", OutOfMemoryError, "too large"), ("bug", ModelError, "ZeroDivisionError: by a bug")],
)
def test_errors_are_values_that_survive_the_way_to_another_process(target, text, kind, said):
    replica = Replica()
    replica.load("mine", target, {})
    error = pickle.loads(pickle.dumps(replica.answer([request(text)])))
    assert type(error) is kind
    assert said in str(error)


def test_what_keeps_a_model_from_being_built_is_told(target, tmp_path):
    assert "OSError: no weights" in str(Replica().load("mine", target, {"breaks": True}))
    assert "no such file" in str(Replica().load("mine", f"{tmp_path}/none.py:Prepared", {}))
    assert isinstance(Replica().load("mine", "prepared", {}), UsageError)
