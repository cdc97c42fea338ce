"""The clients, against a server that says what it was asked."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from pytest_lmms.client import AsyncEvalClient, EvalClient, JobError, RefusedError

JOB = {"job_id": "1", "status": "completed", "result": {"results": {"mme": {"acc,none": 1.0}}}, "error": None}


def transport(*answers):
    """Answers in order, the last one again and again; `asked` has the requests."""
    asked = []

    def handle(request):
        asked.append(request)
        status, body = answers[min(len(asked), len(answers)) - 1]
        return httpx.Response(status, content=body if isinstance(body, (str, bytes)) else json.dumps(body))

    mock = httpx.MockTransport(handle)
    mock.asked = asked
    return mock


def test_a_request_has_what_was_given_and_nothing_else():
    server = transport((200, {"job_id": "1"}))
    EvalClient(transport=server).evaluate("dummy", "mme", limit=4, settings={"data": "mini"})
    (request,) = server.asked
    assert request.url.path == "/evaluate"
    assert json.loads(request.content) == {"model": "dummy", "tasks": ["mme"], "limit": 4, "settings": {"data": "mini"}}


def test_a_field_that_there_is_not_is_told_before_anything_is_sent():
    server = transport((200, {}))
    with pytest.raises(TypeError, match="did you mean limit"):
        EvalClient(transport=server).evaluate("dummy", ["mme"], limits=3)
    assert not server.asked


def test_a_token_is_taken_from_the_variable(monkeypatch):
    monkeypatch.setenv("LMMS_SERVER_TOKEN", "t")
    server = transport((200, {"status": "healthy"}))
    assert EvalClient(transport=server).is_healthy()
    assert server.asked[0].headers["Authorization"] == "Bearer t"


def test_waiting_ends_with_the_job():
    server = transport((200, {**JOB, "status": "queued"}), (200, {**JOB, "status": "running"}), (200, JOB))
    assert EvalClient(transport=server).wait_for_job("1", poll_interval=0.01)["status"] == "completed"
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_waiting_ends_with_an_error_for_a_job_that_will_never_have_results(status):
    server = transport((200, {**JOB, "status": status, "result": None, "error": "out of memory"}))
    with pytest.raises(JobError, match="out of memory") as caught:
        EvalClient(transport=server).wait_for_job("1", poll_interval=0.01)
    assert caught.value.job["status"] == status


def test_waiting_ends_after_its_time():
    server = transport((200, {**JOB, "status": "running"}))
    with pytest.raises(TimeoutError, match="is running"):
        EvalClient(transport=server).wait_for_job("1", poll_interval=0.01, timeout=0.05)


def test_results_of_a_job_that_runs_are_an_error():
    with pytest.raises(JobError):
        EvalClient(transport=transport((200, {**JOB, "status": "running"}))).results("1")


def test_a_refusal_has_the_servers_words():
    server = transport((422, {"detail": [{"loc": ["body", "limit"], "msg": "not a number"}]}))
    with pytest.raises(RefusedError, match=r"body\.limit: not a number"):
        EvalClient(transport=server).get_job("1")
    with pytest.raises(RefusedError, match="Bad Gateway"):
        EvalClient(transport=transport((502, "<html>Bad Gateway</html>"))).get_job("1")


def test_a_server_that_is_not_there_is_not_healthy():
    assert not EvalClient("http://127.0.0.1:9", timeout=0.5).is_healthy()


def test_the_asynchronous_client_does_the_same():
    async def run():
        server = transport((200, {**JOB, "status": "running"}), (200, JOB))
        async with AsyncEvalClient(transport=server) as client:
            job = await client.wait_for_job("1", poll_interval=0.01)
            return job, await client.results("1")

    job, results = asyncio.run(run())
    assert job["status"] == "completed"
    assert results == {"mme": {"acc,none": 1.0}}


STREAM = 'event: status\ndata: {"status": "running"}\n\nevent: log\ndata: {"text": "a\\nb"}\n\n: keep\n\n'


def test_a_stream_is_read_event_by_event():
    events = list(EvalClient(transport=transport((200, STREAM))).stream("1"))
    assert [(e.name, e.data) for e in events] == [("status", {"status": "running"}), ("log", {"text": "a\nb"})]


def test_a_stream_is_read_event_by_event_asynchronously():
    async def run():
        async with AsyncEvalClient(transport=transport((200, STREAM))) as client:
            return [e.name async for e in client.stream("1")]

    assert asyncio.run(run()) == ["status", "log"]
