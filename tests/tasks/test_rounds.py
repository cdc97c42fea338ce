"""What callbacks of several rounds return, and what is made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_lmms.errors import DocumentError
from pytest_lmms.tasks.rounds import out_of_steps, read_turn


def turn(payload: Any) -> Any:
    return read_turn(payload, ["said"], {"n": 1}, visuals=list, is_chat=False)


@pytest.mark.parametrize("payload", [None, 7, ["next"], {"next": 1}])
def test_what_is_neither_tuple_nor_text_ends_a_document_and_keeps_its_info(payload: Any) -> None:
    ended = turn(payload)
    assert (ended.messages, ended.outputs, ended.info, ended.is_terminal) == (None, ["said"], {"n": 1}, False)


@pytest.mark.parametrize("outputs", ["all in one text", 5, {"said": 1}])
def test_outputs_that_are_no_list_are_told(outputs: Any) -> None:
    with pytest.raises(DocumentError, match=r"outputs that are .*\n.*expected: a list of all outputs"):
        turn(([], "next", False, outputs, {}))


def test_a_count_that_is_no_number_is_told_by_its_name() -> None:
    with pytest.raises(DocumentError, match="tool_calls 'three'"):
        out_of_steps(["said"], {"tool_calls": "three"})


def test_counts_that_are_not_there_or_none_are_nothing() -> None:
    payload = json.loads(out_of_steps(["said"], {"state": None, "tool_calls": 2, "invalid_steps": None}))
    assert [payload[k] for k in ("tool_calls", "valid_tool_calls", "invalid_steps", "state")] == [2.0, 2.0, 0.0, None]
