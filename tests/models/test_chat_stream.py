"""What servers send, as several of them do it: tool calls, streams, errors among them."""

from __future__ import annotations

import asyncio
import importlib
import json

import pytest

from pytest_lmms.registry import MODELS


@pytest.fixture
def chat_stream():
    room = MODELS.load("openai").__module__.rpartition(".")[0]
    return importlib.import_module(f"{room}._chat_stream")


@pytest.fixture
def reply(chat_stream):
    return chat_stream.ChatReply()


@pytest.fixture
def read(chat_stream):
    """Read a body that arrives in pieces of some bytes."""

    def read(body, size=7):
        async def chunks():
            for place in range(0, len(body), size):
                yield body[place : place + size]

        return asyncio.run(chat_stream.read_stream(chunks(), lambda: None))

    return read


def events(*values, begin="data: ", end="\n\n"):
    return "".join(begin + (v if isinstance(v, str) else json.dumps(v)) + end for v in values).encode()


def said(text=None, reason=None, **choice):
    delta = {} if text is None else {"content": text}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason, **choice}]}


YES = (said(""), said("Yes"), said(" 😀"), said(reason="stop"))
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def piece(index, call_id, name, arguments):
    call = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [{key: value for key, value in call.items() if value is not None}]}


def calls(reply):
    return [(call.id, call.name, call.arguments) for call in reply.tool_calls]


def test_pieces_of_one_call_are_joined(reply):
    for arguments in ('{"a"', ": 1}"):
        reply.add(piece(0, "x" if arguments[0] == "{" else None, "add" if arguments[0] == "{" else None, arguments))
    assert calls(reply) == [("x", "add", '{"a": 1}')]


def test_calls_that_all_count_as_the_first_stay_apart(reply):
    for place, name in enumerate(("add", "draw", "add")):
        reply.add(piece(0, f"id{place}", name, "{}"))
    assert calls(reply) == [("id0", "add", "{}"), ("id1", "draw", "{}"), ("id2", "add", "{}")]


def test_a_server_that_names_the_call_in_each_piece_under_one_id_is_understood(reply):
    reply.add(piece(0, "x", "add", ""))
    reply.add(piece(0, "x", None, "{}"))
    assert calls(reply) == [("x", "add", "{}")]


def test_arguments_that_come_as_an_object_are_taken(reply):
    reply.add(piece(None, "x", "add", {"a": "grün"}))
    assert calls(reply) == [("x", "add", '{"a":"grün"}')]


@pytest.mark.parametrize(
    "body",
    [
        events(*YES, USAGE, "[DONE]", begin="data:"),
        events(*YES, USAGE, "[DONE]", end="\r\n\r\n"),
        b"".join(b": still here\n\nevent: message\nid: 4\nretry: 10\n" + events(v) for v in (*YES, USAGE)),
        "".join(f"data: {line}\n" for line in json.dumps(said("Yes 😀"), indent=1).splitlines()).encode()
        + b"\n" + events(said(reason="stop"), USAGE),
        events({"id": 1}, {"choices": None}, {"choices": [{"delta": None}]}, *YES, USAGE),
        events(*YES[:3], {**said(reason="stop"), "usage": USAGE["usage"]}),
        events(*YES[:3], USAGE, "[DONE]"),
        events(*YES[:3], said(reason=""), USAGE, "[DONE]"),
        events(said(["Yes", {"text": " 😀"}, {"type": "thinking", "thinking": []}], "stop"), USAGE),
        events({"choices": [{"message": {"content": "Yes 😀"}, "finish_reason": "stop"}]}, USAGE),
        events(*YES[:2], said("No", index=1), *YES[2:], said(reason="length", index=1), USAGE),
        events(said("Yes \ud83d"), said("\ude00"), said(reason="eos"), USAGE),
    ],
    ids=["no blank", "crlf", "comments and fields", "several lines", "no choices", "usage with the reason",
         "no reason", "an empty reason", "parts", "a message", "two choices", "half a character" ],
)  # fmt: skip
def test_streams_that_say_the_same_are_read_alike(read, body):
    for size in (1, 7, 10_000):
        reply = read(body, size)
        assert (reply.text, reply.finish_reason) == ("Yes 😀", "stop")
        assert (reply.tokens.input_tokens, reply.tokens.output_tokens) == (3, 2)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({"error": "boom"}, "boom"),
        ({"error": {"message": "boom", "code": 500}}, "boom"),
        ({"object": "error", "message": "boom", "type": "BadRequestError", "code": 400}, "boom"),
        ({"detail": "boom"}, "boom"),
        ({**said("", "error"), "error": {"message": "boom", "code": 502}}, "boom"),
        (said(reason="error"), "gave the answer up"),
        (said(reason="abort"), "gave the answer up"),
    ],
)
def test_what_was_said_before_an_error_is_no_answer(read, chat_stream, event, why):
    with pytest.raises((chat_stream.RefusedError, chat_stream.BrokenReplyError), match=why):
        read(events(*YES[:3], event, "[DONE]"))


def test_choices_that_are_no_chats_are_no_empty_answer(read, chat_stream):
    with pytest.raises(chat_stream.BrokenReplyError, match="no choices"):
        read(events({"choices": [{"index": 0, "text": "Yes", "finish_reason": "stop"}]}, "[DONE]"))


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [("max_tokens", "length"), ("MAX_TOKENS", "length"), ("SAFETY", "filtered"), ("eos_token", "stop")],
)
def test_other_words_for_why_it_ended_are_known(read, reason, meaning):
    assert read(events(*YES[:3], said(reason=reason))).finish_reason == meaning
