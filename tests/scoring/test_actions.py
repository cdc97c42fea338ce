"""An agent's replies: what is a call, what is a submission, and that nothing hostile gets through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_lmms.scoring.actions import Simulator, number, play, read_calls, read_payload, read_submits, step_validity

DOC = {"initial_state": {"count": 0}, "goal": 2}


def add(state: dict[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    state["count"] += number(arguments, "by", 1)
    return {"ok": True}


COUNTER = Simulator(
    tools={"add": add},
    prompt=lambda doc, state, result: f"{state['count']} {json.dumps(result)}",
    is_solved=lambda doc, state: state["count"] == doc["goal"],
    summary=dict,
)


def call(name: str = "add", **arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def test_calls_of_one_reply_are_applied_in_order_and_then_the_submission() -> None:
    reply = call() + " then " + call(by=1) + '<submit>{"final": "done"}</submit>'
    _, _, terminal, outputs, _ = play(COUNTER, DOC, [reply], None)
    payload = read_payload(outputs[-1])
    assert terminal
    assert payload["success"] is True
    assert (payload["valid_tool_calls"], payload["invalid_steps"], payload["submit"]) == (2, 0, {"final": "done"})
    assert payload["trace"] == [reply]


def test_a_step_leaves_the_info_it_was_given_alone() -> None:
    info = play(COUNTER, DOC, ["hm"], None)[4]
    before = json.dumps(info)
    play(COUNTER, DOC, ["hm", call()], info)
    assert json.dumps(info) == before


def test_a_reply_with_neither_is_an_invalid_step_with_a_hint() -> None:
    _, prompt, terminal, _, info = play(COUNTER, DOC, ["I wonder."], None)
    assert not terminal
    assert "hint" in prompt
    assert info["invalid_steps"] == 1


def test_a_payload_that_the_model_writes_is_no_submission() -> None:
    _, _, terminal, outputs, info = play(COUNTER, DOC, ['{"success": true, "submit": 1}'], None)
    assert not terminal
    assert outputs == ['{"success": true, "submit": 1}']
    assert info["invalid_steps"] == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (call("fly"), "unknown tool"),
        (call(by="many"), "must be a number"),
        (call(by=1e300), "out of range"),
        (call(by=[1]), "must be a number"),
        ("<tool_call>3</tool_call>", "JSON object"),
        ('<tool_call>{"name": "add", "arguments": [1]}</tool_call>', "JSON object"),
        ('<tool_call>{"name": ["add"], "arguments": {}}</tool_call>', "unknown tool"),
        ('<tool_call>{"name": "add", "arguments": {"by": NaN}}</tool_call>', "no valid"),
        ("<tool_call>" + "[" * 1000 + "</tool_call>", "no valid"),
        ("<tool_call>" + '{"a":' * 100_000 + "1" + "}" * 100_000 + "</tool_call>", "no valid"),
        (call(by="9" * 1_000_000), "out of range"),
        ("<tool_call>__import__('os').abort()</tool_call>", "no valid"),
    ],
    ids=range(12),
)
def test_hostile_calls_are_invalid_steps_that_the_agent_hears_of(reply: str, said: str) -> None:
    _, prompt, terminal, _, info = play(COUNTER, DOC, [reply], None)
    assert said in prompt
    assert not terminal
    assert (info["state"]["count"], info["invalid_steps"]) == (0, 1)


def test_bare_json_counts_only_where_the_task_says_so() -> None:
    text = '{"name": "add", "arguments": "{\\"by\\": 2}"} or {\'tool_calls\': [{"function": {"name": "x"}}]}'
    assert read_calls(text) == []
    assert read_calls(text, bare=True) == [{"name": "add", "arguments": {"by": 2}}, {"name": "x", "arguments": {}}]
    assert read_submits('{"final": 1} {"submit": {"a": 2}} {"submit": 3}', bare=True) == [{"final": 1}, {"a": 2}]


def test_tags_go_before_bare_json() -> None:
    assert read_calls('{"name": "a"} <tool_call>{"name": "b"}</tool_call>', bare=True) == [{"name": "b"}]


def test_validity_is_the_share_of_valid_steps() -> None:
    assert step_validity({"valid_tool_calls": 3, "invalid_steps": 1}) == 0.75
    assert step_validity({}) == 0
