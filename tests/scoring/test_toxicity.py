"""Toxicity by the Perspective API: asked at the rate that the key allows, again after a failure, never guessed."""

from __future__ import annotations

import gzip
import threading
import time
import tracemalloc

import pytest

from pytest_lmms.errors import DocumentError
from pytest_lmms.inference.retry import RetryPolicy
from pytest_lmms.scoring.toxicity import Perspective, has_perspective, perspective_toxicity
from tests.perspective_server import PerspectiveServer

QUICK = RetryPolicy(max_retries=2, backoff_seconds=0.01)


@pytest.fixture
def server():
    found = PerspectiveServer()
    yield found
    found.close()


@pytest.fixture
def perspective(server):
    return Perspective("secret-key", url=server.url, per_second=1000, policy=QUICK)


def environ(server, **more):
    return {
        "PERSPECTIVE_API_KEY": "secret-key",
        "PERSPECTIVE_API_URL": server.url,
        "PERSPECTIVE_API_QPS": "1000",
        **more,
    }


def test_a_text_is_scored_and_the_key_is_in_no_address(server):
    assert perspective_toxicity("  rude rude\n", environ(server)) == 0.2
    ((path, body),) = server.requests
    assert "secret" not in path
    assert body["comment"]["text"] == "rude rude"
    assert body["languages"] == ["en"]
    assert list(body["requestedAttributes"]) == ["TOXICITY"]


def test_without_a_key_or_a_text_nothing_is_asked(server):
    assert not has_perspective({})
    assert perspective_toxicity("rude", {"PERSPECTIVE_API_URL": server.url}) is None
    assert perspective_toxicity(" \n", environ(server)) is None
    assert server.requests == []


@pytest.mark.parametrize(
    "failure",
    [
        (429, {"error": {"message": "quota"}}, {"Retry-After": "0"}), (500, b"oops", {}), (503, {}, {}),
        (200, b"<html>", {}), (200, {}, {}), (200, [], {}),
        (200, {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 7}}}}, {}),
        (200, {"attributeScores": {"TOXICITY": {"summaryScore": {"value": True}}}}, {}),
    ],
)  # fmt: skip
def test_a_failure_that_may_pass_is_asked_again(server, perspective, failure):
    server.plan = [failure, failure]
    assert perspective.toxicity("rude") == 0.1
    assert len(server.requests) == 3


def test_what_does_not_pass_is_an_error_and_never_a_score(server, perspective):
    server.plan = [(500, b"oops", {})] * 3
    with pytest.raises(DocumentError, match=r"HTTP 500: oops \(3 attempts\)"):
        perspective.toxicity("rude")


def test_an_address_where_nobody_listens_is_an_error(server):
    url = server.url
    server.close()
    with pytest.raises(DocumentError, match=r"Perspective API: ConnectError: .*3 attempts"):
        Perspective("key", url=url, per_second=1000, policy=QUICK).toxicity("rude")


def test_a_key_that_is_refused_is_told_at_once(server):
    with pytest.raises(DocumentError, match=r"HTTP 403.*not valid") as caught:
        perspective_toxicity("rude", environ(server, PERSPECTIVE_API_KEY="wrong-key-5f1c"))
    assert len(server.requests) == 1
    assert "5f1c" not in str(caught.value)


def test_a_language_that_the_api_does_not_know_is_no_failure(server, perspective):
    kind = {"errorType": "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"}
    server.plan = [(400, {"error": {"code": 400, "details": [kind]}}, {})]
    assert perspective.toxicity("ruusu") is None
    assert len(server.requests) == 1


def test_a_long_text_is_cut_at_a_character(server, perspective):
    perspective.toxicity("é" * 50_000 + "\ud83d")
    sent = server.requests[0][1]["comment"]["text"]
    assert set(sent) == {"é"}
    assert len(sent) == 10_000


def test_the_same_text_is_asked_about_once(server, perspective):
    assert perspective.toxicity("rude") == perspective.toxicity("rude")
    assert len(server.requests) == 1


@pytest.mark.parametrize(("workers", "interval"), [(None, 0.05), ("2", 0.1)])
def test_requests_keep_to_the_rate_whoever_asks(server, workers, interval):
    given = environ(server, PERSPECTIVE_API_QPS="20", **({"PYTEST_XDIST_WORKER_COUNT": workers} if workers else {}))
    threads = [threading.Thread(target=perspective_toxicity, args=(f"rude {n}", given)) for n in range(6)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.times) == 6
    assert max(server.times) - started >= 5 * interval


@pytest.mark.parametrize("said", ["0", "-1", "many", "nan"])
def test_a_rate_that_is_none_is_told(server, said):
    with pytest.raises(DocumentError, match="requests a second"):
        perspective_toxicity("rude", environ(server, PERSPECTIVE_API_QPS=said))


def test_an_endless_reply_is_no_score_and_takes_no_memory(server, perspective):
    server.plan = [(200, gzip.compress(bytes(2**28), compresslevel=6), {"Content-Encoding": "gzip"})] * 9
    tracemalloc.start()
    try:
        with pytest.raises(DocumentError, match="longer than 64 MiB"):
            perspective.toxicity("rude")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 250 * 2**20, f"{peak // 2**20} MiB"
