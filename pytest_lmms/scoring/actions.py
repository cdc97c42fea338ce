"""What an agent does with a reply: the tool calls and the submission in it, and the step they make.

A reply is data: JSON is parsed, checked against the tool's schema where the document gives one, and never evaluated.
Whatever is wrong with a call (no object, arguments that are none, numbers that are not finite, an unknown tool) is an
invalid step whose error the agent is shown. The outcome of an episode comes from the simulator alone.
"""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_lmms.scoring.agent_prompts import is_native
from pytest_lmms.scoring.arguments import complaint, schema_of
from pytest_lmms.scoring.spans import balanced, contents
from pytest_lmms.scoring.toolbox import TOOLS

State = dict[str, Any]
Tool = Callable[[State, Mapping[str, Any]], dict[str, Any]]
"""Changes the state in place and returns a result; one with the key ``error`` is an invalid step."""
MAX_LITERAL_CHARACTERS = 10_000
MAX_NUMBER = 1e9
NOTHING_FOUND = {
    "error": "no valid <tool_call> or <submit> found",
    "hint": "emit exactly one tool call or submit",
}
NO_OBJECT = "arguments must be a JSON object"
NOTHING_CALLED = {"error": "no tool was called", "hint": "call exactly one tool, or submit"}


@dataclass(frozen=True)
class Simulator:
    """A task that is played."""

    tools: Mapping[str, Tool]
    prompt: Callable[[Mapping[str, Any], State, Any, Mapping[str, Any]], str]
    """``(document, state, last result or None, prompt kwargs)`` to the next prompt."""
    is_solved: Callable[[Mapping[str, Any], State], bool]
    summary: Callable[[State], dict[str, Any]]
    """What the final payload says of the state."""
    reads_bare_json: bool = False
    """Whether calls and submissions count without tags around them."""
    checks_arguments: bool = True
    """Whether arguments must be an object before a tool sees them; else those that read none do not mind."""


def read_calls(text: str, *, bare: bool = False) -> list[Any]:
    """Return the JSON values in ``<tool_call>`` tags; without any and with `bare`, calls among the objects."""
    tagged = _tagged(text, "tool_call")
    return tagged if tagged or not bare else [call for value in _objects(text) for call in _bare_calls(value)]


def read_submits(text: str, *, bare: bool = False) -> list[Any]:
    """Return the JSON values in ``<submit>`` tags; without any and with `bare`, submissions among the objects."""
    if (tagged := _tagged(text, "submit")) or not bare:
        return tagged
    found = []
    for value in _objects(text):
        if "final" in value:
            found.append(value)
        elif isinstance(value.get("submit"), dict):
            found.append(value["submit"])
    return found


def play(
    simulator: Simulator,
    doc: Mapping[str, Any],
    outputs: Sequence[str],
    info: Mapping[str, Any] | None,
    kwargs: Mapping[str, Any] | None = None,
) -> tuple[None, str, bool, list[str], dict[str, Any]]:
    """Take one step: apply the last reply's calls in order, then its submission.

    Args:
        simulator: The task's.
        doc: The document; has `initial_state` and `tools`.
        outputs: All replies so far, the last one not yet applied.
        info: What the last step returned; None before the first.
        kwargs: The task's `lmms_eval_specific_kwargs`, for the prompt.

    Returns:
        What a callback of an agentic task returns: ``(None, next prompt, terminal, outputs, info)``; at the end the
        last of the outputs is the final payload, JSON.
    """
    info = copy.deepcopy(dict(info)) if info else begin(doc)
    state = info["state"]
    reply = outputs[-1]
    calls = read_calls(reply, bare=simulator.reads_bare_json)
    submits = read_submits(reply, bare=simulator.reads_bare_json)
    offered = {tool["name"]: tool for tool in doc.get("tools") or ()}
    result: Any = None
    info["tool_results"] = results = []
    for call in calls:
        result = _call(simulator, offered, state, call)
        results.append(result)
        info["tool_calls"] += 1
        info["invalid_steps" if "error" in result else "valid_tool_calls"] += 1
    if not calls and not submits:
        info["invalid_steps"] += 1
        result = NOTHING_CALLED if is_native(kwargs) else NOTHING_FOUND
    info["last_tool_result"] = result
    if submits:
        payload: dict[str, Any] = {"success": simulator.is_solved(doc, state)}
        payload |= {key: info[key] for key in ("tool_calls", "valid_tool_calls", "invalid_steps")}
        payload |= {**simulator.summary(state), "submit": submits[-1], "trace": list(outputs)}
        return None, "", True, [*outputs, json.dumps(payload, ensure_ascii=False)], info
    return None, simulator.prompt(doc, state, result, kwargs or {}), False, list(outputs), info


def begin(doc: Mapping[str, Any]) -> dict[str, Any]:
    """Return the info of an episode that has not begun."""
    return {
        "state": copy.deepcopy(dict(doc["initial_state"])),
        "tool_calls": 0,
        "valid_tool_calls": 0,
        "invalid_steps": 0,
    }


def read_payload(text: Any) -> dict[str, Any]:
    """Return an episode's final payload, as `play` or the harness wrote it; empty when there is none."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def step_validity(payload: Mapping[str, Any]) -> float:
    """Return valid calls per valid call or invalid step, 0 to 1."""
    valid = float(payload.get("valid_tool_calls", payload.get("tool_calls", 0)) or 0)
    return valid / max(valid + float(payload.get("invalid_steps", 0) or 0), 1.0)


def number(arguments: Any, name: str, default: float) -> float:
    """Return an argument as a finite number of reasonable size.

    Raises:
        ValueError: It is none; the agent is shown why.
    """
    if not isinstance(arguments, Mapping):
        raise ValueError(NO_OBJECT)  # noqa: TRY004  (what a tool says to the agent)
    value = arguments.get(name, default)
    try:
        value = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number") from None
    if not abs(value) <= MAX_NUMBER:
        raise ValueError(f"{name} is out of range")
    return value


def _call(simulator: Simulator, offered: Mapping[str, Mapping[str, Any]], state: State, call: Any) -> dict[str, Any]:
    if not isinstance(call, dict):
        return {"error": "a tool call must be a JSON object with name and arguments"}
    name, arguments = call.get("name", ""), call.get("arguments", {})
    tool = simulator.tools.get(name) if isinstance(name, str) else None
    is_ours = tool is not None
    if tool is None and isinstance(name, str) and name in offered:
        tool = TOOLS.find(name)
    if tool is None:
        return {"error": f"unknown tool '{str(name)[:100]}'"}
    if not isinstance(arguments, dict) and (simulator.checks_arguments or not is_ours):
        return {"error": NO_OBJECT}
    if (schema := schema_of(offered.get(name, {}))) and (wrong := complaint(arguments, schema)):
        return {"error": wrong}
    try:
        return tool(state, arguments)
    except ValueError as e:
        return {"error": str(e)}


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _tagged(text: str, tag: str) -> list[Any]:
    pieces = (piece.strip() for piece in contents(text, f"<{tag}>", f"</{tag}>"))
    values = [(piece, _json(piece)) for piece in pieces if piece]
    return [value for piece, value in values if value is not None or piece == "null"]


def _objects(text: str) -> list[dict[str, Any]]:
    values = (_literal(span) for span in balanced(text, "{", "}"))
    return [value for value in values if isinstance(value, dict)]


def _literal(text: str) -> Any:
    value = _json(text)
    if value is None and len(text) <= MAX_LITERAL_CHARACTERS:
        try:
            value = ast.literal_eval(text)
            json.dumps(value)  # no sets, bytes and the like: what becomes of it is written as JSON
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    return value


def _bare_calls(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Calls as servers write them, in a list, and one by itself; those without a name are none."""
    listed = value.get("tool_calls")
    entries = listed if isinstance(listed, list) else []
    functions = [entry.get("function") for entry in entries if isinstance(entry, dict)]
    calls = [(f.get("name"), f.get("arguments")) for f in functions if isinstance(f, dict)]
    if "final" not in value:
        calls.append((value.get("name") or value.get("tool_name"), value.get("arguments", value.get("args"))))
    return [{"name": name, "arguments": _arguments(arguments)} for name, arguments in calls if name]


def _arguments(value: Any) -> dict[str, Any]:
    value = _literal(value) if isinstance(value, str) else value
    return value if isinstance(value, dict) else {}
