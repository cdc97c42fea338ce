"""Chat completions against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import socket
import threading
import time

import PIL.Image
import pytest

from pytest_lmms.errors import MediaError, ModelError, UsageError
from pytest_lmms.inference import message_formats
from pytest_lmms.inference.model import AsyncModel, Identified, Starts, admitted_by
from pytest_lmms.model_args import check_model_args
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.registry import MODELS
from tests.chat_server import Server
from tests.media.sounds import encoded, sine

KEY = "sk-very-secret-key"


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


def test_an_image_above_the_servers_limit_is_sent_smaller_and_the_response_says_so(server):
    large = MediaRef(kind="image", content=PIL.Image.effect_noise((400, 300), 100))
    model = make(server, max_size_in_mb=0.02)
    with_image, without = answer(model, ask("Is it?", large), ask("Is it?"))
    said = [m["content"] for _, _, body in server.requests for m in body["messages"]]
    url = next(part["image_url"]["url"] for content in said for part in content if "image_url" in part)
    data = base64.b64decode(url.partition(",")[2])
    size = PIL.Image.open(io.BytesIO(data)).size
    assert len(data) <= 20_000
    assert with_image.flags == (f"image_reduced:400x300->{size[0]}x{size[1]}",)
    assert without.flags == ()


def test_every_image_travels_in_the_format_that_the_user_names(server, monkeypatch):
    monkeypatch.delenv("LMMS_IMAGE_ENCODE_FORMAT", raising=False)
    answer(make(server, image_format="jpg", image_quality=40), ask(MediaRef(kind="image", data=png())))
    assert server.requests[0][2]["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert make(server, image_format="jpg").identity != make(server).identity
    with pytest.raises(UsageError, match="image_format: unknown image format 'gif'"):
        make(server, image_format="gif")


def test_sounds_travel_in_their_own_format(server):
    data = encoded(sine(0.2))
    answer(make(server), ask(MediaRef(kind="audio", data=data)))
    part = server.requests[0][2]["messages"][0]["content"][0]
    assert part == {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"base_url": "localhost:8000/v1"}, "base_url: 'localhost:8000/v1' is no address"),
        ({"base_url": "me:hunter2@h:8000/v1?key=hunter2"}, "base_url: 'h:8000/v1' is no address"),
        ({"base_url": "http://[::1"}, "is no address"),
        ({"base_url": "http://h:99999/v1"}, "is no address"),
        ({"base_url": "ftp://h/v1"}, "expected: http://host:port/v1, or https"),
        ({"api_key": "hunter2\u00fc"}, "api_key: a character that no HTTP header can hold"),
        ({"api_key": "hunter2\nhunter2"}, "api_key: a character"),
        ({"extra_headers": {"X-Key": "hunter2\r\nX: y"}}, "extra_headers: X-Key: a character"),
        ({"extra_headers": "X-Key: hunter2"}, "extra_headers: no mapping"),
        ({"extra_body": "x"}, "extra_body: no mapping"),
        ({"timeout": "long"}, "timeout=long"),
        ({"max_frames": 0}, "max_frames=0"),
        ({"fps": -1}, "fps=-1"),
        ({"max_image_size": -3}, "max_image_size=-3"),
        ({"retry_backoff_s": float("nan")}, "retry_backoff_s=nan"),
    ],
)
def test_an_argument_that_no_request_can_be_made_of_is_refused_before_any(server, arguments, said):
    with pytest.raises(UsageError) as caught:
        make(server, **arguments)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_key_read_from_a_file_may_have_a_line_end_and_texts_may_be_numbers(server):
    answer(make(server, api_key=KEY + "\n", base_url=f" {server.url}\n", system_prompt=5), ask())
    _, headers, body = server.requests[0]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body["messages"][0] == {"role": "system", "content": "5"}


def test_the_event_loop_stays_free_while_media_are_opened(server, monkeypatch):
    threads = []

    def noted(messages, media):
        threads.append(threading.get_ident())
        return [{"role": "user", "content": "x"}]

    monkeypatch.setitem(message_formats._FORMATS, "noted", noted)
    model = make(server, message_format="noted")
    answer(model, ask(MediaRef(kind="image", data=b"x")))
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()  # asyncio.run runs its loop on this thread


def test_a_client_that_was_not_started_says_so(server):
    with pytest.raises(ModelError, match="start"):
        asyncio.run(make(server).generate(ask()))


# --- what servers do wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [{"half": True}, {"empty": True}, {"raw": b"<html>"}, {"raw": b"[1]"}, {"raw": b""}])
@pytest.mark.parametrize("stream", [True, False])
def test_half_a_reply_is_asked_for_again_and_is_no_answer(server, step, stream):
    if step == {"half": True} and not stream:
        step = {"raw": b'{"id": "1", "choices": [{"ind'}
    server.plan = [step]
    (response,) = answer(make(server, stream=stream), ask())
    assert (response.text.strip(), response.flags) == ("Yes, it is", ("retried",))
    server.plan = [step] * 9
    with pytest.raises(ModelError, match="after 2 attempts"):
        answer(make(server, stream=stream, max_retries=1), ask())


def test_an_error_among_the_events_is_an_error(server):
    server.plan = [{"error": {"message": "out of memory", "code": "server_error"}}]
    assert answer(make(server), ask())[0].flags == ("retried",)
    server.plan = [{"error": {"message": "bad", "code": "invalid_request_error"}}]
    with pytest.raises(ModelError, match="bad"):
        answer(make(server), ask())
    server.plan = [{"error": {"message": "no", "code": "content_filter"}}]
    assert answer(make(server), ask())[0].finish_reason == "filtered"


def test_a_server_that_streams_nothing_although_asked_to_is_understood(server):
    server.plan = [{"plain": True, "text": "all at once"}]
    (response,) = answer(make(server), ask())
    assert (response.text, response.timing.first_token_seconds) == ("all at once", None)


def test_comments_between_events_are_no_token(server):
    server.plan = [{"comment": "PROCESSING", "slow": 0.05}]
    (response,) = answer(make(server), ask())
    assert response.text.strip() == "Yes, it is"
    assert response.timing.first_token_seconds >= 0.05


def test_a_server_that_says_nothing_is_given_up_after_the_time_for_a_first_token(server):
    server.plan = [{"silent": 6}] * 2
    start = time.perf_counter()
    with pytest.raises(ModelError, match=r"time-out after 2 attempts: no token within 0\.2 s"):
        answer(make(server, first_token_timeout_s=0.2, max_retries=1), ask())
    assert time.perf_counter() - start < 5


def test_an_answer_that_drags_on_is_given_up_after_the_whole_time(server):
    server.plan = [{"slow": 0.3, "text": "a b c d e f g h"}]
    with pytest.raises(ModelError, match=r"no complete answer within 1 s"):
        answer(make(server, first_token_timeout_s=9, timeout=1, max_retries=0), ask())
    server.plan = [{"slow": 0.2, "text": "a b c d e f g h"}]  # longer than the first token may take
    assert answer(make(server, first_token_timeout_s=1, timeout=60, max_retries=0), ask())[0].text


def test_a_port_that_takes_no_connection_is_given_up_soon(server):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    full = [socket.socket() for _ in range(4)]
    for each in full:
        each.setblocking(False)
        each.connect_ex(listener.getsockname())
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    model = make(server, base_url=url, connect_timeout_s=0.3, max_retries=0)
    with pytest.raises(ModelError, match="time-out"):
        answer(model, ask())
    for each in (*full, listener):
        each.close()


def test_a_model_that_the_server_does_not_have_is_named(server):
    server.plan = [{"status": 404, "message": "The model `m` does not exist", "code": "model_not_found"}]
    with pytest.raises(ModelError, match=r"m at .*HTTP 404: .*does not exist[\s\S]*check base_url and model"):
        answer(make(server), ask())


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        (400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "reasoning=true"),
        (400, "'temperature' does not support 0.0 with this model.", "reasoning=true"),
        (422, "Unrecognized request argument supplied: stream_options", r"extra_body=.*null"),
        (413, "too large", "max_size_in_mb, max_image_size or nframes"),
    ],
)
def test_what_a_server_does_not_take_is_followed_by_what_to_do(server, status, message, remedy):
    server.plan = [{"status": status, "message": message}]
    with pytest.raises(ModelError, match=rf"HTTP {status}[\s\S]*{remedy}"):
        answer(make(server), ask())
    assert len(server.requests) == 1


def test_a_reasoning_model_under_another_name_and_keys_that_are_left_out(server):
    model = make(server, model="my-deployment", reasoning=True, extra_body={"stream_options": None})
    answer(model, ask(max_new_tokens=7, temperature=0.5))
    body = server.requests[0][2]
    assert body["max_completion_tokens"] == 7
    assert not {"max_tokens", "temperature", "stream_options"} & set(body)
    assert "temperature" not in model.honours
    answer(make(server, model="o3-but-a-server-of-mine", reasoning=False), ask(temperature=0.5))
    assert server.requests[1][2]["temperature"] == 0.5


def test_a_port_where_nobody_listens_is_no_time_out(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(ModelError, match=r"no connection: Cannot connect to host 127.0.0.1[\s\S]*is it up"):
        answer(make(server, base_url=url, max_retries=0), ask())


# --- what is counted, and what is passed on -----------------------------------------------------------------------


def test_reasoning_and_cached_tokens_are_counted(server):
    server.usage |= {
        "completion_tokens_details": {"reasoning_tokens": 3},
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    (response,) = answer(make(server), ask())
    assert (response.tokens.reasoning_tokens, response.tokens.cached_tokens) == (3, 8)


def test_further_settings_reach_the_server(server):
    model = make(
        server, reasoning_effort="low", enable_thinking=False, extra_body={"top_k": 3, "provider": {"order": ["a"]}}
    )
    answer(model, ask(extra={"frequency_penalty": 0.5, "image_aspect_ratio": "pad"}))
    body = server.requests[0][2]
    assert (body["reasoning_effort"], body["top_k"], body["provider"]) == ("low", 3, {"order": ["a"]})
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["frequency_penalty"] == 0.5
    assert "image_aspect_ratio" not in body
    assert model.identity["extra_body"]["top_k"] == 3


def test_what_changes_a_request_changes_the_identity(server):
    usual = make(server).identity
    for changed in (
        {"reasoning_effort": "low"}, {"enable_thinking": True}, {"enable_thinking": False}, {"reasoning": True},
        {"reasoning": False}, {"extra_body": {"top_k": 3}}, {"pass_video_url": True}, {"system_prompt": "Be brief."},
    ):  # fmt: skip
        assert make(server, **changed).identity != usual, changed
    assert make(server, enable_thinking=False).identity != make(server, enable_thinking=True).identity
    assert make(server, timeout=5, max_retries=1, num_concurrent=3).identity == usual


def test_sampling_without_a_temperature_leaves_it_to_the_server(server):
    answer(make(server), ask(do_sample=True), ask(do_sample=False, temperature=0.7))
    assert sorted(str(request[2].get("temperature")) for request in server.requests) == ["0.0", "None"]


def test_a_full_address_of_completions_will_do(server):
    assert answer(make(server, base_url=server.url + "/chat/completions"), ask())[0].text


def test_removed_spellings_say_what_replaced_them(server):
    with pytest.raises(UsageError, match="message_format=qwen3_vl"):
        MODELS.load("async_openai_qwen3_vl")
    with pytest.raises(UsageError, match="use: message_format=qwen3_vl"):
        check_model_args(MODELS.load("async_openai"), {"is_qwen3_vl": True}, model_name="async_openai")
    with pytest.raises(UsageError, match=r"did you mean: max_retries"):
        check_model_args(MODELS.load("openai"), {"max_retrys": 3}, model_name="openai")
    with pytest.raises(UsageError, match=r"unknown message format 'qwen3vl'[\s\S]*did you mean: qwen3_vl"):
        make(server, message_format="qwen3vl")


def test_an_own_message_format_is_one_function_and_one_registration(server, monkeypatch):
    monkeypatch.setattr(message_formats, "_FORMATS", dict(message_formats._FORMATS))
    message_formats.register_message_format(
        "shouted", lambda messages, media: [{"role": m.role, "content": m.content[0].upper()} for m in messages]
    )
    answer(make(server, message_format="shouted"), ask("is it?"))
    assert server.requests[0][2]["messages"] == [{"role": "user", "content": "IS IT?"}]


@pytest.mark.parametrize(
    ("arguments", "size"), [({"max_pixels": 1000}, (40, 20)), ({"min_pixels": 80_000}, (400, 200))]
)
def test_frames_of_videos_have_as_many_pixels_as_async_openai_is_told(server, arguments, size):
    import numpy as np

    video = MediaRef(kind="video", content=np.zeros((4, 100, 200, 3), np.uint8))
    model = MODELS.load("async_openai")(model="m", base_url=server.url, api_key=KEY, nframes=2, **arguments)
    answer(model, ask(video, "what?"))
    parts = server.requests[0][2]["messages"][-1]["content"]
    frames = [p["image_url"]["url"].partition(",")[2] for p in parts if p["type"] == "image_url"]
    assert len(frames) == 2
    opened = PIL.Image.open(io.BytesIO(base64.b64decode(frames[0])))
    assert abs(opened.width - size[0]) <= 5
    assert abs(opened.width / opened.height - 2) < 0.2


def test_what_async_openai_cannot_honour_is_refused_by_name(server):
    with pytest.raises(UsageError, match="leave work_dir out"):
        MODELS.load("async_openai")(model="m", base_url=server.url, api_key=KEY, work_dir="x")


def test_async_openai_takes_the_arguments_that_lmms_eval_gives_it(server):
    model = MODELS.load("async_openai")(
        model_version="m", base_url=server.url, api_key=KEY, num_cpus=3, fps=None, nframes=8, max_frames=16,
        max_pixels=1000, min_pixels=784, mcp_server_path=None, work_dir=None, max_size_in_mb=1,
        adaptive_concurrency=True, adaptive_min_concurrency=2, adaptive_max_concurrency=5,
        adaptive_target_latency_s=1.0, adaptive_increase_step=0.1, adaptive_decrease_factor=0.7,
        adaptive_failure_threshold=0.05, prefix_aware_queue=False, prefix_hash_chars=64,
    )  # fmt: skip
    assert (admitted_by(model), admitted_by(model, most=True)) == (3 + 8, 5 + 8)
    assert model.prefix_characters is None
    assert answer(model, ask())[0].text


# --- requests after the first are copies of it --------------------------------------------------------------------


def one_after_the_other(model, *requests):
    """Responses and errors."""

    async def run():
        await model.start()
        try:
            outcomes = []
            for request in requests:
                try:
                    outcomes.append(await model.generate(request))
                except ModelError as error:
                    outcomes.append(error)
            return outcomes
        finally:
            await model.stop()

    return asyncio.run(run())


@pytest.mark.parametrize("stream", [True, False])
def test_a_later_request_looks_like_the_first(server, stream):
    one_after_the_other(make(server, stream=stream), ask("short"), ask("a longer question"))
    (path, first, _), (later_path, later, body) = server.requests
    assert path == later_path
    assert first.keys() == later.keys()
    assert {name for name in first if first[name] != later[name]} == {"content-length"}
    assert body["messages"][-1]["content"] == "a longer question"


@pytest.mark.parametrize(
    "step",
    [
        {"status": 401},
        {"status": 404, "code": "model_not_found", "message": "no such model"},
        {"status": 422, "raw": b'{"detail": "no messages"}'},
        {"status": 429, "code": "insufficient_quota"},
        {"status": 503, "headers": {"Retry-After": "0"}},
        {"status": 400, "code": "content_filter"},
        {"cut": True},
        {"empty": True},
        {"raw": b"<html>gateway</html>"},
    ],
    ids=str,
)
def test_a_later_request_fails_as_a_first_one_does(server, step):
    server.plan = [step]
    (first,) = one_after_the_other(make(server, max_retries=0), ask())
    server.plan = [{}, step]
    answered, later = one_after_the_other(make(server, max_retries=0), ask(), ask())
    assert answered.text
    if isinstance(first, ModelError):
        assert str(later) == str(first)
    else:
        assert later.finish_reason == first.finish_reason == "filtered"


def test_redirects_are_followed_on_the_same_server_from_the_first_request_on(server):
    moved = {"status": 307, "headers": {"Location": f"{server.url}/moved"}}
    server.plan = [moved, {}, {"status": 301, "headers": moved["headers"]}, moved, {}]
    outcomes = one_after_the_other(make(server, max_retries=0), ask(), ask("lost"), ask("later"))
    assert [getattr(each, "text", None) for each in outcomes] == ["Yes, it is ", None, "Yes, it is "]
    assert "HTTP 501" in str(outcomes[1])  # a GET, which the server does not speak
    told = [(path, body["messages"][0]["content"]) for path, _, body in server.requests if path == "/v1/moved"]
    assert told == [("/v1/moved", "Is it?"), ("/v1/moved", "later")]
    assert len({headers["authorization"] for _, headers, _ in server.requests}) == 1


def test_another_server_gets_neither_key_nor_document(server):
    other = Server()
    moved = {"status": 307, "headers": {"Location": f"{other.url}/chat/completions"}}
    server.plan = [moved, {}, moved]
    outcomes = one_after_the_other(make(server, max_retries=0), ask(), ask(), ask())
    other.httpd.shutdown()
    other.httpd.server_close()
    assert [getattr(each, "text", None) for each in outcomes] == [None, "Yes, it is ", None]
    assert f"HTTP 307: Error code: 307 - no - sends requests on to {other.url}" in str(outcomes[0])
    assert "pass the address it names as base_url if you trust it" in str(outcomes[0])
    assert str(outcomes[2]) == str(outcomes[0])
    assert other.requests == []


def test_a_server_that_sends_round_in_circles_is_named(server):
    server.plan = [{"status": 307, "headers": {"Location": f"{server.url}/chat/completions"}}] * 20
    (outcome,) = one_after_the_other(make(server, max_retries=0), ask())
    assert "HTTP 307" in str(outcome)
    assert len(server.requests) < 10


def test_a_server_that_goes_away_after_the_first_answer_is_named(server):
    model = make(server, max_retries=0, connect_timeout_s=2)

    async def run():
        await model.start()
        try:
            await model.generate(ask())
            server.httpd.shutdown()
            server.httpd.server_close()
            server.plan = [{"cut": True}]
            with contextlib.suppress(ModelError):
                await model.generate(ask())  # the connection that is open may still be served
            with pytest.raises(ModelError, match=r"(?s)Cannot connect to host.*check base_url: is it up"):
                await asyncio.gather(*(model.generate(ask()) for _ in range(2)))
        finally:
            await model.stop()

    asyncio.run(run())


def test_requests_that_begin_together_are_written_once_and_one_that_fails_hinders_no_other(server):
    written = []

    async def run():
        model = make(server, max_retries=0)
        await model.start()
        by_client = model._client.post

        async def post(*arguments, **settings):
            written.append(settings["content"])
            return await by_client(*arguments, **settings)

        model._client.post = post
        try:
            return await asyncio.gather(*(model.generate(ask(str(n))) for n in range(8)), return_exceptions=True)
        finally:
            assert not model._transport.event_hooks["request"]
            await model.stop()

    server.plan = [{"status": 400}]
    outcomes = asyncio.run(run())
    assert len(written) == 1
    assert sum(isinstance(each, ModelError) for each in outcomes) == 1
    assert sum(getattr(each, "text", None) == "Yes, it is " for each in outcomes) == 7
    headers = [{n: v for n, v in sent.items() if n != "content-length"} for _, sent, _ in server.requests]
    assert all(each == headers[0] for each in headers)
