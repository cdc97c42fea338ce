"""What servers send of tool calls, as several of them do it."""

from __future__ import annotations

import importlib

import pytest

from pytest_lmms.registry import MODELS


@pytest.fixture
def reply():
    room = MODELS.load("openai").__module__.rpartition(".")[0]
    return importlib.import_module(f"{room}._chat_stream").ChatReply()


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
