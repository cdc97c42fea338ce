"""Log-probabilities through a real HTTP server on loopback that speaks vLLM's chats, and completions that echo."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.inference.model import ScoresContinuations, ScoresWhereItIs
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS
from tests.chat_server import Server

PICTURE = MediaRef(kind="image", content=np.zeros((8, 8, 3), np.uint8))


@pytest.fixture
def server():
    server = Server()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


def ask(continuation, *parts):
    messages = (Message(role="user", content=parts or ("Is it red?",)),)
    return Request(task="t", doc_id=0, messages=messages, generation=Generation(), continuation=continuation)


def run(server, function, name="openai", **arguments):
    settings = {"model": "m", "base_url": server.url, "api_key": "k", "retry_backoff_s": 0.01, **arguments}

    async def main():
        model = MODELS.load(name)(**settings)
        await model.start()
        try:
            return await function(model)
        finally:
            await model.stop()

    return asyncio.run(main())


def score(server, *requests, **arguments):
    return run(server, lambda model: asyncio.gather(*map(model.score, requests)), **arguments)


@pytest.mark.parametrize("name", ["openai", "async_openai"])
def test_the_tokens_after_the_prompt_are_summed_and_greedy_when_each_is_the_most_likely(server, name):
    short, long = score(server, ask(" yes it is"), ask(" certainly"), name=name)
    assert short.logprob == -(4 + 3 + 3)
    assert long.logprob == -10
    assert (short.is_greedy, long.is_greedy) == (True, False)
    assert short.text == ""
    assert short.tokens.input_tokens == 5  # <user> Is it red? <assistant>
    assert short.timing.seconds > 0


def test_the_prompt_is_counted_once_for_all_its_continuations(server):
    score(server, *(ask(f" {word}", PICTURE, "which?") for word in ("a", "b", "c")))
    bodies = [body for _, _, body in server.requests]
    assert sorted("prompt_logprobs" in body for body in bodies) == [False, True, True, True]
    assert {path for path, _, _ in server.requests} == {"/v1/chat/completions"}
    (counted,) = (body for body in bodies if "prompt_logprobs" not in body)
    for body in bodies:
        assert body["messages"][0] == counted["messages"][0]
        assert body["messages"][0]["content"][0]["type"] == "image_url"
        assert body["max_tokens"] == 1
        assert not body.get("stream")
        if body is not counted:
            assert body["messages"][1]["role"] == "assistant"
            assert body["continue_final_message"] is True
            assert body["add_generation_prompt"] is False


def test_completions_echo_the_text_and_a_blank_at_its_end_belongs_to_the_continuation(server):
    (found,) = score(server, ask("yes", "Is it red? Answer: "), logprobs_from="completions")
    assert (found.logprob, found.is_greedy) == (-4.0, True)
    assert {path for path, _, _ in server.requests} == {"/v1/completions"}
    assert server.requests[-1][2]["prompt"] == "Is it red? Answer: yes"
    assert score(server, ask(" certainly"), logprobs_from="completions")[0].is_greedy is False


@pytest.mark.parametrize(("parts", "what"), [((PICTURE, "which?"), "no media"), (("",), "no empty prompt")])
def test_completions_take_neither_media_nor_nothing(server, parts, what):
    with pytest.raises(ModelError, match=f"/completions takes {what}"):
        score(server, ask(" a", *parts), logprobs_from="completions")


def test_a_template_that_writes_answers_otherwise_than_it_asks_for_them_is_noticed(server):
    server.thinks = True
    with pytest.raises(ModelError, match="behind the prompt stands ' is', and not ' it is'"):
        score(server, ask(" it is"))


def test_a_failure_that_may_pass_is_asked_again_and_one_document_alone_learns_of_one_that_does_not(server):
    server.plan = [{"status": 503}, {}, {"status": 429}]
    (found,) = score(server, ask(" yes"))
    assert found.logprob == -4
    assert "retried" in found.flags
    server.plan = [{"status": 400, "message": "too long"}]
    outcomes = run(server, lambda model: _one_by_one(model, ask(" yes"), ask(" yes")))
    assert "too long" in str(outcomes[0])
    assert outcomes[1].logprob == -4


async def _one_by_one(model, *requests):
    outcomes = []
    for request in requests:
        outcomes += await asyncio.gather(model.score(request), return_exceptions=True)
    return outcomes


def test_a_server_says_before_anything_is_asked_whether_it_can(server):
    why = lambda model: model.why_not_score()  # noqa: E731
    assert run(server, why) is None
    assert run(server, why, logprobs_from="completions") is None
    server.logprob_of = None
    assert "the server tells no log-probabilities of prompts" in run(server, why)
    assert "logprobs_from=completions" in run(server, why)
    server.plan = [{"status": 400, "message": "unknown key prompt_logprobs"}]
    assert "unknown key prompt_logprobs" in run(server, why)


def test_a_server_that_does_not_answer_now_is_not_said_to_be_unable(server):
    server.plan = [{"status": 503}]
    assert run(server, lambda model: model.why_not_score()) is None
    assert len(server.requests) == 1  # and not asked again: the run will


def test_an_unknown_place_for_log_probabilities_is_refused(server):
    with pytest.raises(UsageError, match=r"(?s)logprobs_from=tokens.*one of: chat, completions"):
        MODELS.load("openai")(model="m", base_url=server.url, api_key="k", logprobs_from="tokens")


def test_only_those_who_ask_such_servers_have_scores():
    for name in ("openai", "async_openai"):
        adapter = MODELS.load(name)
        assert issubclass(adapter, ScoresContinuations)
        assert issubclass(adapter, ScoresWhereItIs)
    for name in ("azure_openai", "openai_batch", "litellm"):
        assert not hasattr(MODELS.load(name), "score")


def test_where_log_probabilities_come_from_is_part_of_what_a_stored_one_depends_on(server):
    make = lambda **more: MODELS.load("openai")(model="m", base_url=server.url, api_key="k", **more)  # noqa: E731
    assert make().identity != make(logprobs_from="completions").identity
    assert "logprobs_from" not in make().identity
