"""A server that misbehaves by script: each document ends as a response or an error that is named, none is made up.

REQUESTS sets how many documents; `make soak` asks 10,000 in each way.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import os
import sys
import tracemalloc

import pytest

from pytest_lmms.errors import ModelError
from pytest_lmms.records import Generation, Message, Request
from pytest_lmms.registry import MODELS
from tests.faults.misbehaviour import ANSWERS, ARGUMENTS, LATE, PASSING, REFUSALS, Script, answer_to, judge, rows

NUM_DOCUMENTS = int(os.environ.get("REQUESTS", "250"))
SEED = int(os.environ.get("SEED", "0"))
WAYS = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
IN_ONE_PIECE_ONLY = ("another content type", "less than was promised")
"""Steps that are something else, or nothing, when the answer is streamed."""


@functools.cache
def bomb():
    """260 kB that unpack to 256 MiB."""
    return gzip.compress(bytes(2**28), compresslevel=6)


def ask(server, stream, steps, **settings):
    """The response to one request, whose attempts meet these steps."""
    server.plan, server.text = list(steps), answer_to
    model = MODELS.load("openai")(model="m", stream=stream, retry_backoff_s=0.01, **{"timeout": 20, **settings})
    request = Request(
        task="t", doc_id=17, messages=(Message(role="user", content=("q17",)),), generation=Generation(max_new_tokens=9)
    )

    async def once():
        await model.start()
        try:
            return await model.generate(request)
        finally:
            await model.stop()

    return asyncio.run(once())


@WAYS
def test_every_document_ends_as_a_response_or_a_named_error(remote, server, stream):
    server.plan, server.text = Script(SEED), answer_to
    remote.task(rows(NUM_DOCUMENTS))
    arguments = f"{ARGUMENTS},stream={stream}"
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", arguments, "--lmms-max-errors", "100%", timeout=900)
    assert "INTERNALERROR" not in run.output, run.output[-3000:]
    assert "Traceback" not in run.output, run
    counts = judge(remote.records(), NUM_DOCUMENTS)
    assert counts["scored"] > NUM_DOCUMENTS / 2
    assert counts["filtered"]
    assert len(server.plan.seen) > 25


@WAYS
@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_asked_again_and_one_that_stays_is_named(server, stream, fault):
    response = ask(server, stream, [PASSING[fault]])
    if not (stream and fault in IN_ONE_PIECE_ONLY):
        assert response.flags == ("retried",)
    assert response.text.strip() == "A17"
    if not (stream and fault in IN_ONE_PIECE_ONLY):
        with pytest.raises(ModelError, match="after 2 attempts"):
            ask(server, stream, [PASSING[fault]] * 2, max_retries=1)


@WAYS
@pytest.mark.parametrize("fault", LATE)
def test_what_comes_too_late_is_given_up_and_asked_again(server, stream, fault):
    response = ask(server, stream, [dict.fromkeys(LATE[fault], 2.5)], timeout=1.0)
    assert response.text.strip() == "A17"
    assert response.flags == ("retried",)


@WAYS
def test_an_answer_without_end_is_given_up(server, stream, monkeypatch):
    room = MODELS.load("openai").__module__.rpartition(".")[0]
    monkeypatch.setattr(sys.modules[f"{room}._chat_stream"], "LONGEST_REPLY_BYTES", 2**20)
    with pytest.raises(ModelError, match="longer than 1 MiB"):
        ask(server, stream, [ANSWERS["10 MB around the answer"]], max_retries=0)


@WAYS
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("position", ["first", "later"])
def test_a_small_body_that_unpacks_to_a_huge_one_is_given_up(server, stream, status, position):
    step = {"raw": bomb(), "headers": {"Content-Encoding": "gzip"}, "status": status}
    steps = [step] if position == "first" else [PASSING["500"], step]
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="HTTP 500" if status == 500 else "longer than 64 MiB"):
            ask(server, stream, steps, max_retries=len(steps) - 1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * 2**20, f"{peak // 2**20} MiB"


@WAYS
@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip, gzip"])
def test_an_encoding_that_nobody_asked_for_is_refused(server, stream, encoding):
    step = {"raw": gzip.compress(gzip.compress(b"{}")), "headers": {"Content-Encoding": encoding}}
    with pytest.raises(ModelError, match=f"encoded as '{encoding}', which nobody asked for"):
        ask(server, stream, [step], max_retries=0)
    assert [headers["accept-encoding"] for _, headers, _ in server.requests] == ["gzip, deflate"]


@WAYS
@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_is_read_whatever_stands_around_it(server, stream, kind):
    if stream and kind in IN_ONE_PIECE_ONLY:
        with pytest.raises(ModelError, match="no JSON"):
            ask(server, stream, [ANSWERS[kind]], max_retries=0)
        return
    response = ask(server, stream, [ANSWERS[kind]], max_retries=0)
    assert response.text.strip() == "A17"
    assert all(n is None or n >= 0 for n in (response.tokens.input_tokens, response.tokens.output_tokens))


@WAYS
@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_is_no_answer_and_no_error(server, stream, kind):
    assert ask(server, stream, [REFUSALS[kind]], max_retries=0).finish_reason == "filtered"
