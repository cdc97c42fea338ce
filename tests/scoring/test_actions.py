"""An agent's replies: what is a call, what is a submission, and that nothing hostile gets through."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_lmms import catalog
from pytest_lmms.errors import UsageError
from pytest_lmms.scoring.actions import Simulator, number, play, read_calls, read_payload, read_submits, step_validity
from pytest_lmms.scoring.toolbox import Toolbox

DOC = {"initial_state": {"count": 0}, "goal": 2}


def add(state: dict[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    state["count"] += number(arguments, "by", 1)
    return {"ok": True}


COUNTER = Simulator(
    tools={"add": add},
    prompt=lambda doc, state, result, kwargs: f"{state['count']} {json.dumps(result)}",
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


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('{"tool_calls": [], "name": "a"}', ["a"]),
        ('{"tool_calls": [{"function": {"name": "a"}}], "name": "b"}', ["a", "b"]),
        ('{"tool_calls": [{"function": {"name": "a"}}], "name": "b", "final": 1}', ["a"]),
        ('{"name": "", "tool_name": "a", "args": {}}', ["a"]),
        ('{"name": null, "arguments": {}}', []),
        ('{"tool_calls": [{"function": {}}, {"function": 3}, 4]}', []),
    ],
)
def test_which_bare_objects_are_calls(text: str, calls: list[str]) -> None:
    assert [call["name"] for call in read_calls(text, bare=True)] == calls


@pytest.mark.parametrize("value", ["{1, 2}", "b'x'", "...", "1j"])
def test_a_bare_literal_that_json_cannot_hold_is_no_submission_and_never_an_error(value: str) -> None:
    bare = dataclasses.replace(COUNTER, reads_bare_json=True)
    _, _, terminal, outputs, info = play(bare, DOC, [f"{{'final': {value}}}"], None)
    assert (terminal, info["invalid_steps"]) == (False, 1)
    assert len(outputs) == 1


def test_a_submission_with_a_number_too_large_for_a_float_still_ends_an_episode() -> None:
    _, _, terminal, outputs, _ = play(COUNTER, DOC, [call(by=2) + '<submit>{"final": 1e999}</submit>'], None)
    assert terminal
    assert read_payload(outputs[-1])["success"] is True


def test_arguments_that_are_no_object_are_told_unless_no_tool_of_the_simulator_reads_them() -> None:
    reply = '<tool_call>{"name": "look", "arguments": "[]"}</tool_call>'
    tools = {**COUNTER.tools, "look": lambda state, arguments: {"count": state["count"]}}
    careful = dataclasses.replace(COUNTER, tools=tools)
    assert play(careful, DOC, [reply], None)[4]["last_tool_result"] == {"error": "arguments must be a JSON object"}
    lenient = dataclasses.replace(careful, checks_arguments=False)
    assert play(lenient, DOC, [reply], None)[4]["last_tool_result"] == {"count": 0}
    info = play(lenient, DOC, [reply.replace("look", "add")], None)[4]
    assert info["last_tool_result"] == {"error": "arguments must be a JSON object"}


def test_an_unknown_tool_is_told_before_arguments_that_are_none() -> None:
    (info,) = play(COUNTER, DOC, ['<tool_call>{"name": "fly", "arguments": 3}</tool_call>'], None)[4:]
    assert info["last_tool_result"] == {"error": "unknown tool 'fly'"}


def test_tags_go_before_bare_json() -> None:
    assert read_calls('{"name": "a"} <tool_call>{"name": "b"}</tool_call>', bare=True) == [{"name": "b"}]


def test_validity_is_the_share_of_valid_steps() -> None:
    assert step_validity({"valid_tool_calls": 3, "invalid_steps": 1}) == 0.75
    assert step_validity({}) == 0


def test_of_two_submissions_the_last_counts_and_the_episode_ends_once() -> None:
    reply = call(by=2) + '<submit>{"final": "a"}</submit><submit>{"final": "b"}</submit>'
    _, _, terminal, outputs, info = play(COUNTER, DOC, [reply], None)
    assert terminal
    assert len(outputs) == 2
    assert read_payload(outputs[-1])["submit"] == {"final": "b"}
    assert info["invalid_steps"] == 0


def test_arguments_that_break_the_schema_of_the_document_are_an_invalid_step() -> None:
    schema = {"type": "object", "properties": {"by": {"type": "integer"}}, "required": ["by"]}
    for parameters in (schema, json.dumps(schema)):
        doc = {**DOC, "tools": [{"name": "add", "description": "", "parameters": parameters}]}
        for reply, said in ((call(), "missing: by"), (call(by=0.5), "expected integer"), (call(by=True), "integer")):
            _, prompt, _, _, info = play(COUNTER, doc, [reply], None)
            assert said in prompt
            assert (info["state"]["count"], info["invalid_steps"]) == (0, 1)
        assert play(COUNTER, doc, [call(by=1)], None)[4]["valid_tool_calls"] == 1


@pytest.mark.parametrize(
    ("bounds", "wrong", "right"),
    [
        ({"minimum": 1}, 0, 1),
        ({"maximum": 9}, 9.5, 9),
        ({"exclusiveMinimum": 0}, 0, 0.5),
        ({"exclusiveMaximum": 3}, 3, 2),
    ],
)
def test_a_number_outside_the_bounds_of_its_schema_is_an_invalid_step(
    bounds: dict[str, float], wrong: float, right: float
) -> None:
    schema = {"type": "object", "properties": {"by": {"type": "number", **bounds}}}
    doc = {**DOC, "tools": [{"name": "add", "description": "", "parameters": schema}]}
    _, prompt, _, _, info = play(COUNTER, doc, [call(by=wrong)], None)
    assert "by is" in prompt
    assert (info["state"]["count"], info["invalid_steps"]) == (0, 1)
    assert play(COUNTER, doc, [call(by=right)], None)[4]["valid_tool_calls"] == 1


def test_a_whole_number_may_be_written_with_a_point() -> None:
    doc = {
        **DOC,
        "tools": [{"name": "add", "description": "", "parameters": {"properties": {"by": {"type": "integer"}}}}],
    }
    assert play(COUNTER, doc, [call(by=2.0)], None)[4]["valid_tool_calls"] == 1


def test_a_step_keeps_every_result_for_the_trajectory() -> None:
    info = play(COUNTER, DOC, [call() + call("fly") + '<submit>{"final": ""}</submit>'], None)[4]
    assert [list(result) for result in info["tool_results"]] == [["ok"], ["error"]]
    assert info["last_tool_result"] == info["tool_results"][-1]


def test_a_registered_tool_is_called_where_the_document_lists_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_lmms.scoring.actions.TOOLS", box := Toolbox())
    box.register("look", lambda state, arguments: {"seen": state["count"]})
    offering = {**DOC, "tools": [{"name": "look", "description": ""}]}
    assert play(COUNTER, offering, [call("look")], None)[4]["tool_results"] == [{"seen": 0}]
    assert "unknown tool" in play(COUNTER, DOC, [call("look")], None)[1]


def test_a_tool_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(UsageError, match="a function of"):
        Toolbox().register("look", 3)  # type: ignore[arg-type]


def test_negative_and_infinite_amounts_change_nothing() -> None:
    vending = catalog.import_file(catalog.folder("benchmarks") / "vending_bench2" / "utils.py")
    (row, *_) = (catalog.folder("benchmarks") / "vending_bench2/data/vending_bench2.jsonl").read_text().splitlines()
    doc = json.loads(row)
    for reply in (call("restock", units=-5), call("set_price", price=-1), call("restock", units=0.4), "x" * 1_000_000,
                  '<tool_call>{"name": "restock", "arguments": {"units": Infinity}}</tool_call>'):  # fmt: skip
        info = vending.vending_doc_to_text(doc, {}, [reply], 1, None)[4]
        assert (info["state"], info["invalid_steps"]) == (doc["initial_state"], 1)
