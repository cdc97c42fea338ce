"""lmms-eval's judges by name: what they are asked, how replies are read, what goes into a message."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import pytest
from PIL import Image

from pytest_lmms.errors import LmmsError
from pytest_lmms.llm_judge import (
    JudgePromptBuilder,
    ProviderFactory,
    Request,
    ResponseParser,
    ServerConfig,
    calls,
    get_server,
)
from tests.chat_server import Server


@pytest.fixture
def server(monkeypatch):
    found = Server()
    for name in ("OPENAI_API_BASE", "OPENAI_BASE_URL", "API_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_API_URL", found.url)
    yield found
    calls.PANEL.close()
    found.httpd.shutdown()
    found.httpd.server_close()


def judge(**config):
    return get_server("openai", ServerConfig(**{"model_name": "m", "num_retries": 2, "retry_delay": 0.01, **config}))


def test_a_reply_comes_with_its_model_and_usage(server):
    server.text = " 1 \n"
    found = judge().evaluate(Request([{"role": "user", "content": "Well?"}]))
    assert (found.content, found.model_used, found.success) == ("1", "m", True)
    assert found.usage == {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}


def test_the_settings_of_a_request_come_before_the_judges(server):
    of_request = ServerConfig(model_name="other", max_tokens=7, temperature=0.5, system_prompt="Be short.")
    request = Request([{"role": "user", "content": "Well?"}], config=of_request)
    judge(max_tokens=99, response_format="json").evaluate(request)
    judge(max_tokens=99, response_format="json").evaluate(Request([{"role": "user", "content": "Well?"}]))
    first, second = (body for _, _, body in server.requests)
    assert (first["model"], first["max_tokens"], first["temperature"]) == ("other", 7, 0.5)
    assert first["messages"][0]["role"] == "system"
    assert "response_format" not in first
    assert (second["max_tokens"], second["response_format"]) == (99, {"type": "json_object"})


def test_pictures_come_after_the_words_of_the_last_user_message(server, tmp_path):
    picture = Image.new("RGB", (32, 24), "red")
    data = io.BytesIO()
    picture.save(data, "PNG")
    picture.save(tmp_path / "a.png")
    encoded = base64.b64encode(data.getvalue())
    own = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded.decode()}"}}
    messages = [
        {"role": "system", "content": "Judge."}, {"role": "user", "content": [{"type": "text", "text": "First"}, own]},
        {"role": "assistant", "content": "Yes"}, {"role": "user", "content": "Second"},
    ]  # fmt: skip
    judge().evaluate(Request(messages, images=[picture, str(tmp_path / "a.png"), encoded]))
    system, first, assistant, second = server.requests[0][2]["messages"]
    assert (system["role"], assistant["role"]) == ("system", "assistant")
    assert [part["type"] for part in first["content"]] == ["text", "image_url"]
    assert [part["type"] for part in second["content"]] == ["text", *["image_url"] * 3]


def test_what_fails_for_a_while_is_asked_again_and_then_raises(server):
    server.plan = [{"status": 500}]
    assert judge().evaluate(Request([{"role": "user", "content": "a"}])).content == "Yes, it is"
    server.plan = [{"status": 500}] * 2
    with pytest.raises(LmmsError, match="500"):
        judge().evaluate(Request([{"role": "user", "content": "b"}]))
    assert len(server.requests) == 4


def test_questions_of_a_kind_are_read_by_lmms_evals_rules(server):
    server.text = "8, 3\nThe first is better."
    compared = judge().evaluate_comparative("q?", "a", "b", context="c", score_range=(1, 10))
    assert compared["scores"] == (8.0, 3.0)
    assert all(word in compared["prompt"] for word in ("q?", "First response: a", "Second response: b", "Context: c"))
    server.text = 'So: {"style": 4}'
    assert judge().evaluate_with_rubric("q?", "p", {"style": "is it terse?"})["scores"] == {"style": 4}
    server.text = "Yes."
    binary = judge().evaluate_binary("q?", "gold", "said", output_format="yes/no")
    assert binary["result"] is True
    assert "Reply with Yes" in binary["prompt"]


def test_code_with_an_event_loop_asks_side_by_side(server):
    server.text = lambda body: "1" if "right" in json.dumps(body) else "0"

    async def ask():
        found = await judge().evaluate_binary_batch_async(["q", "q"], ["g", "g"], ["right", "wrong"])
        more = await judge().evaluate_batch([Request([{"role": "user", "content": "right"}])])
        return [f["result"] for f in found], more[0].content

    assert asyncio.run(ask()) == ([1, 0], "1")


@pytest.mark.parametrize(
    ("reply", "read"), [("1", 1), ("[1]", 1), ("Score: 1", 1), ("0", 0), ("", 0), ("no idea", 0), ("10", 1)]
)
def test_a_one_anywhere_is_right(reply, read):
    assert ResponseParser.parse_binary_response(reply) == read


@pytest.mark.parametrize(("reply", "read"), [("7 of 10", 7.0), ("99", 10.0), ("-3", 0.0), ("none", 0.0)])
def test_a_score_is_the_first_number_within_the_range(reply, read):
    assert ResponseParser.parse_score_response(reply, (0, 10)) == read


@pytest.mark.parametrize("reply", ["", "no numbers", "5", "\n5 6"])
def test_ratings_that_are_not_there_are_minus_one(reply):
    expected = (5.0, 6.0) if reply == "\n5 6" else (-1.0, -1.0)
    assert ResponseParser.parse_comparative_response(reply) == expected


@pytest.mark.parametrize("reply", ["", "{", "}{", "{a: 1}", "[1]", "{" * 5000 + "}"])
def test_what_is_no_json_is_empty(reply):
    assert ResponseParser.parse_json_response(reply) == {}


def test_a_tasks_own_prompt_is_filled_in():
    prompt = "{question} {answer} {pred} {prediction} {extra}"
    made = JudgePromptBuilder.build_binary_prompt("q", "a", "p", custom_prompt=prompt, extra="e")
    assert made == "q a p p e"


def test_the_kind_comes_from_the_variable_and_an_unknown_one_is_told(monkeypatch):
    monkeypatch.setenv("API_TYPE", "DUMMY")
    assert ProviderFactory.create_provider().evaluate(Request([])).content == "dummy"
    with pytest.raises(ValueError, match="bedrock"):
        get_server("bedrock")


def test_a_judge_without_a_key_is_not_available_and_making_it_needs_none(server, monkeypatch):
    assert judge().is_available()
    monkeypatch.delenv("OPENAI_API_KEY")
    assert not judge().is_available()
