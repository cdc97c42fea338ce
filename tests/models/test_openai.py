"""Chat completions against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import PIL.Image
import pytest

from pytest_lmms.errors import MediaError, ModelError, UsageError
from pytest_lmms.inference import message_formats
from pytest_lmms.inference.model import AsyncModel, Identified, Starts, admitted_by
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS

KEY = "sk-very-secret-key"


class Server:
    """Speaks chat completions; `plan` holds what to do with the next requests, one each."""

    def __init__(self):
        self.requests = []
        self.plan = []
        self.text = "Yes, it is"
        self.pause_seconds = 0.0
        self.in_flight = self.most_in_flight = 0
        self.usage = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    outer.requests.append((self.path, headers, body))
                    outer.in_flight += 1
                    outer.most_in_flight = max(outer.most_in_flight, outer.in_flight)
                    step = outer.plan.pop(0) if outer.plan else {}
                try:
                    outer.respond(self, body, step)
                finally:
                    with lock:
                        outer.in_flight -= 1

            def log_message(self, *_):
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/v1"

    def respond(self, handler, body, step):
        if "status" in step:
            error = {"message": step.get("message", "no"), "code": step.get("code")}
            self.send(handler, step["status"], {"error": error}, step.get("headers", {}))
        elif body.get("stream"):
            self.stream(handler, step)
        else:
            time.sleep(self.pause_seconds)
            message = {"role": "assistant", "content": step.get("text", self.text)}
            message |= {"refusal": step["refusal"]} if "refusal" in step else {}
            choice = {"index": 0, "message": message, "finish_reason": step.get("reason", "stop")}
            self.send(handler, 200, {**self.envelope(), "choices": [choice], "usage": self.usage})

    @staticmethod
    def envelope(kind="chat.completion"):
        return {"id": "1", "object": kind, "created": 0, "model": "m"}

    @staticmethod
    def send(handler, status, payload, headers=None):
        data = json.dumps(payload).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    def stream(self, handler, step):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

        def event(choices, **more):
            chunk = {**self.envelope("chat.completion.chunk"), "choices": choices, **more}
            self.write(handler, f"data: {json.dumps(chunk)}\n\n")

        event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        field = "refusal" if "refusal" in step else "content"
        for piece in (step.get(field) or step.get("text", self.text)).split(" "):
            time.sleep(self.pause_seconds)
            event([{"index": 0, "delta": {field: piece + " "}, "finish_reason": None}])
            if step.get("cut"):
                handler.close_connection = True
                handler.connection.close()
                return
        event([{"index": 0, "delta": {}, "finish_reason": step.get("reason", "stop")}])
        event([], usage=self.usage)
        self.write(handler, "data: [DONE]\n\n")
        self.write(handler, "")

    @staticmethod
    def write(handler, text):
        data = text.encode()
        handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        handler.wfile.flush()


@pytest.fixture
def server(monkeypatch):
    for name in ("OPENAI_API_BASE", "OPENAI_BASE_URL", "OPENAI_API_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


def make(server, **arguments):
    defaults = {"model": "m", "base_url": server.url, "api_key": KEY, "retry_backoff_s": 0.01}
    return MODELS.load("openai")(**{**defaults, **arguments})


def ask(*parts, repeat=0, **generation):
    return Request(
        task="t",
        doc_id=0,
        repeat=repeat,
        messages=(Message(role="user", content=parts or ("Is it?",)),),
        generation=Generation(**generation),
    )


def answer(model, *requests):
    async def run():
        await model.start()
        try:
            return await asyncio.gather(*(model.generate(request) for request in requests))
        finally:
            await model.stop()

    return asyncio.run(run())


def png(size=(9, 7)):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", size, (1, 2, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def test_it_keeps_the_contracts(server):
    model = make(server)
    assert isinstance(model, AsyncModel)
    assert isinstance(model, Starts)
    assert isinstance(model, Identified)
    assert admitted_by(model) == 32 + 8
    assert admitted_by(model, most=True) == 256 + 8
    assert admitted_by(make(server, num_concurrent=4), most=True) == 4 + 8


def test_a_streamed_answer_has_text_counts_and_the_clients_timing(server):
    server.pause_seconds = 0.02
    (response,) = answer(make(server), ask())
    assert response.text == "Yes, it is "
    assert response.finish_reason == "stop"
    assert (response.tokens.input_tokens, response.tokens.output_tokens) == (11, 4)
    timing = response.timing
    assert timing.source == "client"
    assert 0.02 <= timing.first_token_seconds < timing.seconds
    assert timing.seconds_per_token == pytest.approx(0.04 / 3, rel=1)
    assert server.requests[0][2]["stream_options"] == {"include_usage": True}


def test_an_answer_in_one_piece_has_no_time_to_first_token(server):
    (response,) = answer(make(server, stream=False), ask())
    assert (response.text, response.tokens.output_tokens) == ("Yes, it is", 4)
    assert response.timing.first_token_seconds is None
    assert response.timing.seconds_per_token is None
    assert "stream" not in server.requests[0][2]


def test_an_answer_without_content_is_an_empty_text(server):
    server.plan = [{"text": None, "reason": "length"}]
    (response,) = answer(make(server, stream=False), ask())
    assert (response.text, response.finish_reason) == ("", "length")


def test_settings_reach_the_server(server):
    model = make(server, system_prompt="Be brief.")
    answer(
        model,
        ask(max_new_tokens=7, temperature=0.5, top_p=0.9, until=("\n",), seed=3, repeat=2),
    )
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (7, 0.5, 0.9)
    assert (body["stop"], body["seed"], body["model"]) == (["\n"], 5, "m")
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Is it?"},
    ]


def test_unsaid_settings_are_greedy_and_short(server):
    answer(make(server), ask())
    body = server.requests[0][2]
    assert (body["temperature"], body["max_tokens"]) == (0.0, 1024)
    assert not {"top_p", "stop", "seed"} & set(body)


@pytest.mark.parametrize("name", ["o1-mini", "o3", "openai/o4-mini", "gpt-5-nano"])
def test_reasoning_models_get_only_what_they_take(server, name):
    model = make(server, model=name)
    answer(model, ask(max_new_tokens=7, temperature=0.5, top_p=0.9, until=("x",)))
    body = server.requests[0][2]
    assert body["max_completion_tokens"] == 7
    assert not {"max_tokens", "temperature", "top_p", "stop"} & set(body)
    assert {"max_new_tokens", "seed"} < model.honours
    assert not {"temperature", "top_p", "until"} & model.honours
    assert "until" in make(server, model="gpt-4o").honours


def test_images_travel_as_data_uris_in_their_place(server, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png((3, 3)))
    parts = (
        "first",
        MediaRef(kind="image", data=png()),
        "second",
        MediaRef(kind="image", path=str(path)),
        MediaRef(kind="image", url="http://127.0.0.1/b.png"),
        MediaRef(kind="image", content=PIL.Image.new("RGB", (2, 2))),
    )
    answer(make(server), ask(*parts))
    content = server.requests[0][2]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url"] + ["text"] + ["image_url"] * 3
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    assert urls[0] == "data:image/png;base64," + base64.b64encode(png()).decode()
    assert base64.b64decode(urls[1].partition(",")[2]) == png((3, 3))
    assert urls[2] == "http://127.0.0.1/b.png"
    assert urls[3].startswith("data:image/png;base64,")


def test_what_cannot_be_sent_is_named(server, tmp_path):
    with pytest.raises(MediaError, match=r"none\.png"):
        answer(make(server), ask(MediaRef(kind="image", path=str(tmp_path / "none.png"))))
    assert not server.requests


def test_many_requests_are_in_flight_at_once(server):
    server.pause_seconds = 0.05
    start = time.perf_counter()
    responses = answer(make(server), *(ask() for _ in range(16)))
    assert len(responses) == 16
    assert server.most_in_flight > 4
    assert time.perf_counter() - start < 16 * 0.15


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_failures_that_may_pass_are_tried_again(server, status):
    server.plan = [{"status": status}, {"status": status}]
    (response,) = answer(make(server), ask())
    assert response.text == "Yes, it is "
    assert response.flags == ("retried",)
    assert len(server.requests) == 3


def test_a_stream_that_breaks_off_is_tried_again(server):
    server.plan = [{"cut": True}]
    (response,) = answer(make(server), ask())
    assert response.text == "Yes, it is "
    assert response.flags == ("retried",)


def test_retry_after_is_obeyed(server):
    server.plan = [{"status": 429, "headers": {"Retry-After": "0.3"}}]
    start = time.perf_counter()
    (response,) = answer(make(server), ask())
    elapsed = time.perf_counter() - start
    assert elapsed >= 0.3
    assert response.timing.seconds <= elapsed - 0.3


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (400, None, ""),
        (401, None, "OPENAI_API_KEY"),
        (404, None, "base_url"),
        (429, "insufficient_quota", ""),
    ],
)
def test_failures_that_cannot_pass_are_not_tried_again(server, status, code, remedy):
    server.plan = [{"status": status, "code": code, "message": f"wrong: {KEY}"}] * 3
    with pytest.raises(ModelError, match=f"HTTP {status}: .*wrong") as caught:
        answer(make(server), ask())
    assert len(server.requests) == 1
    assert remedy in str(caught.value)
    assert KEY not in str(caught.value)


def test_after_the_last_attempt_the_error_says_how_many_there_were(server):
    server.plan = [{"status": 500}] * 9
    with pytest.raises(ModelError, match="HTTP 500 after 3 attempts"):
        answer(make(server, max_retries=2), ask())
    assert len(server.requests) == 3


def test_a_server_that_is_not_there_is_named(server):
    model = make(server, base_url="http://127.0.0.1:9/v1", max_retries=1)
    with pytest.raises(ModelError, match=r"after 2 attempts.*[\s\S]*is it up"):
        answer(model, ask())


@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_is_a_filtered_response(server, stream):
    server.plan = [{"reason": "content_filter", "text": ""}]
    (response,) = answer(make(server, stream=stream), ask())
    assert response.finish_reason == "filtered"
    server.plan = [{"refusal": "I cannot", "text": None}]
    (response,) = answer(make(server, stream=stream), ask())
    assert (response.text.strip(), response.finish_reason) == ("I cannot", "filtered")
    server.plan = [{"status": 400, "code": "content_filter"}]
    (response,) = answer(make(server, stream=stream), ask())
    assert (response.text, response.finish_reason) == ("", "filtered")


def test_the_key_shows_nowhere(server):
    model = make(server, base_url=server.url.replace("://", f"://user:{KEY}@"))
    assert KEY not in json.dumps(model.identity)
    assert KEY not in repr(model)
    assert KEY not in repr(vars(model)["_key"])
    assert model.identity["base_url"] == server.url


def test_settings_come_from_the_environment_when_unsaid(server, monkeypatch):
    openai = MODELS.load("openai")
    with pytest.raises(UsageError, match=r"api_key: no API key[\s\S]*OPENAI_API_KEY"):
        openai(model="m")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_URL", "http://third/v1")
    assert openai("m").identity["base_url"] == "http://third/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://second/v1")
    assert openai("m").identity["base_url"] == "http://second/v1"
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    assert openai("m").identity["base_url"] == server.url
    assert answer(openai("m"), ask())[0].text


def test_the_model_has_one_name_in_any_of_three_words(server):
    for word in ("model", "pretrained", "model_version"):
        assert MODELS.load("openai")(**{word: "x"}, api_key=KEY).identity["model"] == "x"
    with pytest.raises(UsageError, match="model: this model needs a name"):
        MODELS.load("openai")(api_key=KEY)
    with pytest.raises(UsageError, match="several model names"):
        MODELS.load("openai")("x", pretrained="y", api_key=KEY)
    with pytest.raises(UsageError, match="num_concurrent=0"):
        make(server, num_concurrent=0)


def test_the_event_loop_stays_free_while_images_are_encoded(server, monkeypatch):
    def slow(messages, media):
        time.sleep(0.3)
        return [{"role": "user", "content": "x"}]

    message_formats.register_message_format("slow", slow)
    monkeypatch.delitem(message_formats._FORMATS, "slow", raising=True)
    monkeypatch.setitem(message_formats._FORMATS, "slow", slow)
    model = make(server, message_format="slow")

    async def run():
        await model.start()
        gaps, last = [], time.perf_counter()
        task = asyncio.create_task(model.generate(ask(MediaRef(kind="image", data=b"x"))))
        with contextlib.suppress(asyncio.TimeoutError):
            while not task.done():
                await asyncio.sleep(0.01)
                gaps.append(time.perf_counter() - last)
                last = time.perf_counter()
        await model.stop()
        return max(gaps)

    assert asyncio.run(run()) < 0.25


def test_a_client_that_was_not_started_says_so(server):
    with pytest.raises(ModelError, match="start"):
        asyncio.run(make(server).generate(ask()))
