"""Adapters of other providers, each against a real HTTP server that speaks the provider's own language."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import re
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import PIL.Image
import pytest

from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.records import Generation, MediaRef, Message, Request, ToolCall
from pytest_lmms.registry import MODELS
from tests.chat_server import Server

KEY = "sk-very-secret-key"


class Wire:
    """Answers every POST with what `events` holds, as server-sent events or as one JSON; keeps what was asked."""

    def __init__(self):
        self.requests, self.plan = [], []
        self.events, self.whole = [], {}
        self.named = False
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                wire.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                step = wire.plan.pop(0) if wire.plan else {}
                if "status" in step:
                    self.send(step["status"], json.dumps(step["body"]).encode(), step.get("headers", {}))
                elif "raw" in step:
                    self.send(200, step["raw"], {"Content-Type": "text/event-stream", **step.get("headers", {})})
                elif body.get("stream") or "stream" in self.path:
                    events = step.get("events", wire.events)
                    lines = (
                        (f"event: {e['type']}\n" if wire.named else "") + f"data: {json.dumps(e)}\n\n" for e in events
                    )
                    self.send(200, "".join(lines).encode(), {"Content-Type": "text/event-stream"})
                else:
                    self.send(200, json.dumps(wire.whole).encode(), {})

            def send(self, status, data, headers):
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}"


@pytest.fixture
def wire(monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY",
                 "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    wire = Wire()
    yield wire
    wire.httpd.shutdown()
    wire.httpd.server_close()


@pytest.fixture
def chat():
    server = Server()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


def picture():
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (3, 2), (1, 2, 3)).save(buffer, "PNG")
    return buffer.getvalue()


IMAGE = picture()
TEXT_IMAGE = base64.b64encode(IMAGE).decode()


def request(*parts, system=None, **generation):
    first = (Message(role="system", content=(system,)),) if system else ()
    user = Message(role="user", content=parts or ("Is it?",))
    return Request(task="t", doc_id=0, messages=(*first, user), generation=Generation(**generation))


def answer(model, *requests):
    async def run():
        await model.start()
        try:
            return await asyncio.gather(*(model.generate(r) for r in requests))
        finally:
            await model.stop()

    return asyncio.run(run())


SCHEMA = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}
TOOLS = ({"name": "set_price", "description": "Sets it.", "parameters": SCHEMA},)


def turns(*messages, **generation):
    """A conversation in which a model called two tools at once, and what came after it."""
    calls = (
        ToolCall(id="a", name="set_price", arguments='{"price": 10}'),
        ToolCall(id="b", name="fly", arguments="no JSON"),
    )
    said = (
        Message(role="system", content=("Sell.",)),
        Message(role="user", content=("Begin.",)),
        Message(role="assistant", content=(), tool_calls=calls),
        Message(role="tool", content=('{"ok": true}',), call_id="a"),
        Message(role="tool", content=("unknown tool",), call_id="b"),
    )
    generation = Generation(**generation)
    return Request(task="t", doc_id=0, messages=(*said, *messages), generation=generation, tools=TOOLS)


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
@pytest.mark.parametrize("stream", [True, False])
def test_another_server_gets_neither_keys_nor_documents_by_redirect(wire, chat, provider, stream):
    make = {"anthropic": make_anthropic, "gemini": make_gemini}[provider]
    wire.plan = [{"status": 307, "body": {}, "headers": {"Location": chat.url}}]
    with pytest.raises(ModelError, match=r"HTTP 307[\s\S]*base_url if you trust it"):
        answer(make(wire, stream=stream, extra_headers={"X-Secret": "hush-hush"}), request())
    assert (len(wire.requests), chat.requests) == (1, [])


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("encoding", "said"),
    [("gzip", "longer than 64 MiB"), ("br", "encoded as 'br', which nobody")],
)
def test_what_a_provider_sends_without_end_is_given_up(wire, provider, stream, encoding, said):
    make = {"anthropic": make_anthropic, "gemini": make_gemini}[provider]
    wire.plan = [{"raw": gzip.compress(bytes(2**28), compresslevel=6), "headers": {"Content-Encoding": encoding}}]
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=said):
            answer(make(wire, stream=stream, max_retries=0), request())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300 * 2**20, f"{peak // 2**20} MiB"
    assert wire.requests[0][1]["accept-encoding"] == "gzip, deflate"


# --- azure --------------------------------------------------------------------------------------------------------


def test_azure_asks_the_deployment_with_version_and_key(chat, monkeypatch):
    for name in ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION", "API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    azure = MODELS.load("azure_openai")
    model = azure("my-gpt", base_url=chat.url.removesuffix("/v1"), api_key=KEY, api_version="2024-10-21")
    (response,) = answer(model, request(max_new_tokens=5))
    path, headers, body = chat.requests[0]
    assert path == "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    assert (headers["api-key"], body["max_tokens"]) == (KEY, 5)
    assert response.text.strip() == "Yes, it is"
    assert response.timing.first_token_seconds is not None
    assert KEY not in json.dumps(model.identity)
    with pytest.raises(UsageError, match="no api_version"):
        azure("m", base_url=chat.url, api_key=KEY)
    with pytest.raises(UsageError, match=r"no base_url[\s\S]*AZURE_OPENAI_ENDPOINT"):
        azure("m", api_key=KEY, api_version="1")


# --- anthropic ----------------------------------------------------------------------------------------------------


def anthropic_events(*texts, reason="end_turn", thought=None):
    usage = {"input_tokens": 7, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0, "output_tokens": 1}
    message = {"id": "1", "type": "message", "role": "assistant", "model": "c", "content": [], "stop_reason": None,
               "stop_sequence": None, "usage": usage}  # fmt: skip
    yield {"type": "message_start", "message": message}
    deltas = [{"type": "thinking_delta", "thinking": thought}] if thought else []
    deltas += [{"type": "text_delta", "text": text} for text in texts]
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    if reason:
        yield {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
               "usage": {"output_tokens": 9}}  # fmt: skip
    yield {"type": "message_stop"}


def make_anthropic(wire, **arguments):
    pytest.importorskip("anthropic")
    wire.named = True
    wire.events = wire.events or list(anthropic_events("Yes", ", it is"))
    return MODELS.load("anthropic")("claude-x", base_url=wire.url, api_key=KEY, retry_backoff_s=0.01, **arguments)


def test_anthropic_gets_blocks_a_system_prompt_and_settings(wire):
    model = make_anthropic(wire)
    parts = ("Look: ", MediaRef(kind="image", data=IMAGE), MediaRef(kind="image", url="http://h/a.png"), "what?")
    settings = {"max_new_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "until": ("\n\n",)}
    (response,) = answer(model, request(*parts, system="Be brief.", **settings))
    path, headers, body = wire.requests[0]
    assert (path, body["model"], body["system"]) == (
        "/v1/messages", "claude-x", "Be brief.",
    )  # fmt: skip
    assert KEY in (headers.get("x-api-key") or headers["authorization"])
    assert [block["type"] for block in body["messages"][0]["content"]] == ["text", "image", "image", "text"]
    assert body["messages"][0]["content"][1]["source"] == {
        "type": "base64", "media_type": "image/png", "data": TEXT_IMAGE,
    }  # fmt: skip
    assert body["messages"][0]["content"][2]["source"] == {"type": "url", "url": "http://h/a.png"}
    assert (body["max_tokens"], body["temperature"], body["top_k"], body["stop_sequences"]) == (5, 0.5, 3, ["\n\n"])
    assert (response.text, response.finish_reason) == ("Yes, it is", "stop")
    tokens = response.tokens
    assert (tokens.input_tokens, tokens.output_tokens, tokens.cached_tokens) == (11, 9, 4)
    assert response.timing.source == "client"
    assert response.timing.first_token_seconds is not None
    assert KEY not in json.dumps(model.identity)


def test_anthropic_thinks_apart_from_what_it_says(wire):
    wire.events = list(anthropic_events("Yes", thought="hmm"))
    (response,) = answer(make_anthropic(wire, thinking_tokens=1024), request(max_new_tokens=5, temperature=0.5))
    body = wire.requests[0][2]
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert body["max_tokens"] == 1029
    assert "temperature" not in body
    assert response.text == "Yes"


@pytest.mark.parametrize(("reason", "finish"), [("max_tokens", "length"), ("refusal", "filtered")])
def test_anthropic_says_why_it_ended(wire, reason, finish):
    wire.events = list(anthropic_events("No", reason=reason))
    assert answer(make_anthropic(wire), request())[0].finish_reason == finish


def test_anthropic_answers_in_one_piece_too(wire):
    wire.whole = {"id": "1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
                  "content": [{"type": "text", "text": "Yes"}],
                  "usage": {"input_tokens": 7, "output_tokens": 2}}  # fmt: skip
    (response,) = answer(make_anthropic(wire, stream=False), request())
    assert (response.text, response.tokens.output_tokens, response.timing.first_token_seconds) == ("Yes", 2, None)
    assert wire.requests[0][2]["temperature"] == 0


def test_anthropic_models_that_refuse_sampling_get_none(wire):
    model = make_anthropic(wire, send_sampling=False, reasoning_effort="low")
    answer(model, request(temperature=0.5))
    body = wire.requests[0][2]
    assert not {"temperature", "top_p", "top_k"} & set(body)
    assert body["output_config"] == {"effort": "low"}
    assert "temperature" not in model.honours


def test_anthropic_is_asked_again_when_overloaded_or_cut_off(wire):
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    cut = list(anthropic_events("Ye", reason=None))[:-1]
    wire.plan = [{"status": 529, "body": overloaded}, {"events": cut}]
    (response,) = answer(make_anthropic(wire), request())
    assert (response.text, response.flags) == ("Yes, it is", ("retried",))
    wire.plan = [{"status": 401, "body": {"type": "error", "error": {"type": "authentication_error", "message": KEY}}}]
    with pytest.raises(ModelError, match=r"HTTP 401[\s\S]*ANTHROPIC_API_KEY") as caught:
        answer(make_anthropic(wire), request())
    assert KEY not in str(caught.value)
    with pytest.raises(ModelError, match="cannot send audio"):
        answer(make_anthropic(wire), request(MediaRef(kind="audio", data=b"x")))


@pytest.mark.parametrize(
    ("kind", "passes"), [("overloaded_error", True), ("api_error", True), ("billing_error", False)]
)
def test_anthropic_is_asked_again_after_an_error_among_the_events_that_may_pass(wire, kind, passes):
    error = {"type": "error", "error": {"type": kind, "message": "No more"}}
    wire.plan = [{"events": [*list(anthropic_events("Ye"))[:3], error]}]
    if passes:
        (response,) = answer(make_anthropic(wire), request())
        assert (response.text, response.flags) == ("Yes, it is", ("retried",))
        return
    with pytest.raises(ModelError, match=r"HTTP 402: .*No more"):
        answer(make_anthropic(wire), request())


def test_anthropic_is_asked_again_after_half_a_json(wire):
    wire.plan = [{"raw": b'event: message_start\ndata: {"type": "mess\n\n'}]
    (response,) = answer(make_anthropic(wire), request())
    assert (response.text, response.flags) == ("Yes, it is", ("retried",))


def called(*calls):
    """Events of an answer that says something and calls tools, arguments in pieces."""
    head, *_, delta, stop = anthropic_events("Well.", reason="tool_use")
    yield head
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Well."}}
    for place, (name, pieces) in enumerate(calls, 1):
        block = {"type": "tool_use", "id": f"toolu_{place}", "name": name, "input": {}}
        yield {"type": "content_block_start", "index": place, "content_block": block}
        for piece in pieces:
            inside = {"type": "input_json_delta", "partial_json": piece}
            yield {"type": "content_block_delta", "index": place, "delta": inside}
        yield {"type": "content_block_stop", "index": place}
    yield delta
    yield stop


@pytest.mark.parametrize("stream", [True, False])
def test_anthropic_is_offered_tools_and_calls_them(wire, stream):
    wire.events = list(called(("set_price", ('{"pri', 'ce": 9}')), ("look", ("",))))
    blocks = [
        {"type": "tool_use", "id": "toolu_1", "name": "set_price", "input": {"price": 9}},
        {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
    ]
    wire.whole = {"id": "1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "tool_use",
                  "content": [{"type": "text", "text": "Well."}, *blocks],
                  "usage": {"input_tokens": 7, "output_tokens": 2}}  # fmt: skip
    (response,) = answer(make_anthropic(wire, stream=stream), turns())
    body = wire.requests[0][2]
    assert body["tools"] == [{"name": "set_price", "description": "Sets it.", "input_schema": SCHEMA}]
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "a", "name": "set_price", "input": {"price": 10}},
        {"type": "tool_use", "id": "b", "name": "fly", "input": {}},
    ]
    results = body["messages"][2]["content"]
    assert [(r["type"], r["tool_use_id"], r["content"][0]["text"]) for r in results] == [
        ("tool_result", "a", '{"ok": true}'),
        ("tool_result", "b", "unknown tool"),
    ]
    assert (response.text, response.finish_reason) == ("Well.", "stop")
    assert [(c.id, c.name, json.loads(c.arguments or "{}")) for c in response.tool_calls] == [
        ("toolu_1", "set_price", {"price": 9}),
        ("toolu_2", "look", {}),
    ]
    assert (response.timing.first_token_seconds is not None) == stream


def test_anthropic_shows_what_a_tool_drew_after_its_result_and_wants_no_thoughts_back(wire):
    shown = Message(role="user", content=(MediaRef(kind="image", data=IMAGE),))
    answer(make_anthropic(wire), turns(shown))
    last = wire.requests[0][2]["messages"][-1]
    assert [block["type"] for block in last["content"]] == ["tool_result", "tool_result", "image"]
    with pytest.raises(ModelError, match=r"thinking_tokens[\s\S]*agentic_history=conversation"):
        answer(make_anthropic(wire, thinking_tokens=1024), turns())


# --- gemini -------------------------------------------------------------------------------------------------------


def gemini_event(*parts, reason=None, usage=None):
    event = {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0}]}
    if reason:
        event["candidates"][0]["finishReason"] = reason
    if usage:
        event["usageMetadata"] = usage
    return event


USAGE = {"promptTokenCount": 8, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "cachedContentTokenCount": 5}


def camel(value):
    """JSON with its keys in camel case: Google's API takes both forms, and its client mixes them."""
    if isinstance(value, dict):
        return {re.sub(r"_(.)", lambda m: m[1].upper(), key): camel(inner) for key, inner in value.items()}
    return [camel(inner) for inner in value] if isinstance(value, list) else value


def make_gemini(wire, **arguments):
    pytest.importorskip("google.genai")
    wire.events = wire.events or [
        gemini_event({"text": "Yes"}),
        gemini_event({"text": "!"}, reason="STOP", usage=USAGE),
    ]
    return MODELS.load("gemini")("gemini-x", base_url=wire.url, api_key=KEY, retry_backoff_s=0.01, **arguments)


def test_gemini_gets_parts_a_system_instruction_and_settings(wire):
    model = make_gemini(wire, thinking_tokens=0)
    clip = MediaRef(kind="video", data=b"\x00\x00\x00\x18ftypmp42")
    link = MediaRef(kind="image", url="http://h/a.png")
    settings = {"max_new_tokens": 5, "until": ("x",), "seed": 3, "top_k": 4}
    (response,) = answer(
        model, request("Look", MediaRef(kind="image", data=IMAGE), clip, link, system="Brief.", **settings)
    )
    path, headers, asked = wire.requests[0]
    body = camel(asked)
    assert "/models/gemini-x:streamGenerateContent" in path
    assert headers["x-goog-api-key"] == KEY
    text, image, video, address = body["contents"][0]["parts"]
    assert text == {"text": "Look"}
    assert base64.b64decode(image["inlineData"]["data"], altchars=b"-_") == IMAGE
    assert (image["inlineData"]["mimeType"], video["inlineData"]["mimeType"]) == ("image/png", "video/mp4")
    assert address["fileData"]["fileUri"] == "http://h/a.png"
    config = body["generationConfig"]
    assert (config["maxOutputTokens"], config["temperature"], config["stopSequences"], config["seed"]) == (
        5,
        0,
        ["x"],
        3,
    )
    assert config["thinkingConfig"]["thinkingBudget"] == 0
    assert body["systemInstruction"]["parts"] == [{"text": "Brief."}]
    assert (response.text, response.finish_reason) == ("Yes!", "stop")
    tokens = response.tokens
    assert (tokens.input_tokens, tokens.output_tokens, tokens.reasoning_tokens, tokens.cached_tokens) == (8, 5, 2, 5)
    assert response.timing.first_token_seconds is not None
    assert KEY not in json.dumps(model.identity)


def test_gemini_thoughts_are_no_answer_and_blocks_are_filtered(wire):
    wire.events = [gemini_event({"text": "hmm", "thought": True}), gemini_event({"text": "Yes"}, reason="MAX_TOKENS")]
    (response,) = answer(make_gemini(wire), request())
    assert (response.text, response.finish_reason) == ("Yes", "length")
    for events in ([{"promptFeedback": {"blockReason": "SAFETY"}}], [gemini_event(reason="SAFETY")]):
        wire.plan = [{"events": events}]
        (response,) = answer(make_gemini(wire), request())
        assert (response.text, response.finish_reason) == ("", "filtered")


def test_gemini_is_asked_again_when_there_is_hope(wire):
    busy = {"error": {"code": 429, "message": "busy", "status": "RESOURCE_EXHAUSTED"}}
    wire.plan = [{"status": 429, "body": busy}, {"events": [gemini_event({"text": "Y"})]}]
    (response,) = answer(make_gemini(wire), request())
    assert (response.text, response.flags) == ("Yes!", ("retried",))
    assert len(wire.requests) == 3
    wire.plan = [{"status": 404, "body": {"error": {"code": 404, "message": "no model", "status": "NOT_FOUND"}}}]
    with pytest.raises(ModelError, match="HTTP 404"):
        answer(make_gemini(wire), request())
    wire.whole = gemini_event({"text": "Whole"}, reason="STOP", usage=USAGE)
    assert answer(make_gemini(wire, stream=False), request())[0].text == "Whole"


@pytest.mark.parametrize("stream", [True, False])
def test_gemini_is_offered_tools_and_calls_them(wire, stream):
    calls = ({"functionCall": {"name": "set_price", "args": {"price": 9}}}, {"functionCall": {"name": "look"}})
    wire.events = [gemini_event({"text": "Well."}), gemini_event(*calls, reason="STOP", usage=USAGE)]
    wire.whole = gemini_event({"text": "Well."}, *calls, reason="STOP", usage=USAGE)
    (response,) = answer(make_gemini(wire, stream=stream), turns())
    asked = wire.requests[0][2]
    body = camel(asked)
    (declared,) = body["tools"][0]["functionDeclarations"]
    assert (declared["name"], declared["description"]) == ("set_price", "Sets it.")
    assert declared["parametersJsonSchema"] == SCHEMA
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    assert [part["functionCall"] for part in body["contents"][1]["parts"]] == [
        {"name": "set_price", "args": {"price": 10}},
        {"name": "fly", "args": {}},
    ]
    assert [part["functionResponse"] for part in body["contents"][2]["parts"]] == [
        {"name": "set_price", "response": {"result": '{"ok": true}'}},
        {"name": "fly", "response": {"result": "unknown tool"}},
    ]
    assert (response.text, response.finish_reason) == ("Well.", "stop")
    assert [(c.id, c.name, json.loads(c.arguments)) for c in response.tool_calls] == [
        ("call_0", "set_price", {"price": 9}),
        ("call_1", "look", {}),
    ]


# --- litellm ------------------------------------------------------------------------------------------------------


@pytest.fixture
def make_litellm(chat, monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    pytest.importorskip("litellm")
    return lambda **arguments: MODELS.load("litellm")(
        **{"model": "openai/m", "base_url": chat.url, "api_key": KEY, "retry_backoff_s": 0.01, **arguments}
    )


@pytest.mark.parametrize("stream", [True, False])
def test_litellm_asks_the_provider_that_the_name_begins_with(chat, make_litellm, stream):
    model = make_litellm(stream=stream)
    (response,) = answer(model, request(MediaRef(kind="image", data=IMAGE), "what?", max_new_tokens=5, until=("x",)))
    path, headers, body = chat.requests[0]
    assert (path, headers["authorization"], body["model"]) == ("/v1/chat/completions", f"Bearer {KEY}", "m")
    assert (body["max_tokens"], body["stop"]) == (5, ["x"])
    assert body["messages"][0]["content"][0]["image_url"]["url"] == f"data:image/png;base64,{TEXT_IMAGE}"
    assert (response.text.strip(), response.tokens.output_tokens) == ("Yes, it is", 4)
    assert (response.timing.first_token_seconds is not None) == stream
    assert KEY not in json.dumps(model.identity)


def test_litellm_is_asked_again_when_there_is_hope(chat, make_litellm):
    chat.plan = [{"status": 429}, {"status": 500}]
    (response,) = answer(make_litellm(), request())
    assert (response.text.strip(), response.flags) == ("Yes, it is", ("retried",))
    assert len(chat.requests) == 3
    chat.plan = [{"status": 401, "message": f"wrong {KEY}"}]
    with pytest.raises(ModelError, match="HTTP 401") as caught:
        answer(make_litellm(), request())
    assert KEY not in str(caught.value)
    assert len(chat.requests) == 4


@pytest.mark.parametrize("step", [{"cut": True}, {"half": True}, {"text": "Ye", "reason": "abort"}, {"raw": b"{}"}])
def test_litellm_is_asked_again_after_half_an_answer(chat, make_litellm, step):
    chat.plan = [step]
    (response,) = answer(make_litellm(), request())
    assert (response.text.strip(), response.flags) == ("Yes, it is", ("retried",))


@pytest.mark.parametrize("stream", [True, False])
def test_litellm_is_offered_tools_and_calls_them(chat, make_litellm, stream):
    chat.calls = lambda body: [{"id": "x", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}]
    (response,) = answer(make_litellm(stream=stream), turns())
    body = chat.requests[0][2]
    assert body["tools"][0]["function"]["parameters"] == SCHEMA
    assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    assert [(c.id, c.name, c.arguments) for c in response.tool_calls] == [("x", "look", '{"a": 1}')]
