"""A response store that several runs share."""

from __future__ import annotations

import pytest

from pytest_lmms.inference.cache import KeyMaker, ResponseStore
from pytest_lmms.inference.shared import SharedStore
from pytest_lmms.records import Generation, Message, Request, Response


@pytest.fixture
def store(tmp_path):
    def store(run, *, read=False):
        own = ResponseStore(tmp_path / run, writer="main", read=read)
        return SharedStore(own, ResponseStore(tmp_path / "shared", writer=run, read=True))

    return store


def key(**generation):
    request = Request(
        task="t", doc_id=0, messages=(Message(role="user", content=("hi",)),), generation=Generation(**generation)
    )
    return KeyMaker("me").keys([request])[0]


def test_another_run_gets_what_one_has_asked(store):
    first = store("one")
    first.put([(key(), Response(text="yes"))])
    first.close()
    second = store("two")
    found = second.get(key())
    assert (found.text, found.cached, second.num_hits) == ("yes", True, 1)
    assert second.get(key(max_new_tokens=5)) is None


@pytest.mark.parametrize("sampling", [{"temperature": 0.7}, {"do_sample": True}])
def test_a_sampled_response_is_replayed_by_its_own_run_only(store, sampling):
    first = store("one")
    first.put([(key(**sampling), Response(text="yes"))])
    first.close()
    assert store("two").get(key(**sampling)) is None
    assert store("one", read=True).get(key(**sampling)).text == "yes"
    assert len(store("two")) == 0


def test_greedy_settings_are_not_taken_for_sampling():
    assert not key(temperature=0.0).endswith("s")
    assert not key(temperature=0.7, do_sample=False).endswith("s")
