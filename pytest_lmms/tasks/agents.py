"""How agents are played: settings beside `generation_kwargs`, tools as a model is offered them, histories, traces.

Callbacks read text. What a model calls natively is therefore written out in the tags that callbacks know, in this one
place; arguments stay what the model wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_lmms.errors import DocumentError, TaskError, did_you_mean, explain
from pytest_lmms.records import Message, Request, Response, ToolCall

MAX_AGENTIC_STEPS = 12
"""Rounds of an agentic document, unless its `generation_kwargs` hold `max_agentic_steps`."""
SUBMIT = "submit"
"""The tool that ends an episode."""
SAID_NOTHING = "(an empty reply)"
"""Stands in a conversation for a reply without text and calls: most servers refuse a message without content."""
_SUBMIT_TOOL: Mapping[str, Any] = {
    "name": SUBMIT,
    "description": "End the episode with the final answer",
    "parameters": {"type": "object", "properties": {"final": {"type": "string"}}, "required": ["final"]},
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "tool_format": ("tags", "native"),
    "agentic_history": ("rebuilt", "conversation"),
    "agentic_trace_mode": ("basic", "full"),
}
KEYS = ("max_agentic_steps", *_CHOICES)
"""Of `generation_kwargs`: what is said to the harness, not to the model."""
_COUNTS = ("tool_calls", "valid_tool_calls", "invalid_steps")


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """How the documents of an agentic task are played."""

    max_agentic_steps: int = MAX_AGENTIC_STEPS
    """How often a document is asked at most."""
    tool_format: str = "tags"
    """``tags``: the model writes `<tool_call>` and `<submit>`; ``native``: it has tools, as its server offers them."""
    agentic_history: str = "rebuilt"
    """``rebuilt``: each prompt stands alone; ``conversation``: prompts, replies and results accumulate."""
    agentic_trace_mode: str = "basic"
    """``full``: the final payload repeats every round."""

    @property
    def is_native(self) -> bool:
        """Whether the model has tools of its own."""
        return self.tool_format == "native"

    @property
    def is_conversation(self) -> bool:
        """Whether messages accumulate."""
        return self.agentic_history == "conversation"

    @property
    def told(self) -> dict[str, str]:
        """What callbacks are told in their `lmms_eval_specific_kwargs`; nothing where all is as usual."""
        said = {"tool_format": self.tool_format, "agentic_history": self.agentic_history}
        return {key: value for key, value in said.items() if value != _CHOICES[key][0]}


def agent_settings(values: Mapping[str, Any], where: Callable[[str], str]) -> AgentSettings:
    """Read the agent's part of generation settings.

    Raises:
        TaskError: A value that there is not.
    """
    for key, choices in _CHOICES.items():
        if (value := values.get(key, choices[0])) not in choices:
            raise TaskError(
                explain(
                    f"{key} is {value!r}",
                    where=where("generation_kwargs"),
                    expected="|".join(choices),
                    suggestion=did_you_mean(str(value), choices),
                )
            )
    steps = values.get(KEYS[0], MAX_AGENTIC_STEPS)
    try:
        num_steps = int(steps)
    except (TypeError, ValueError):
        num_steps = 0
    if num_steps < 1:
        text = f"max_agentic_steps is {steps!r}"
        raise TaskError(explain(text, where=where("generation_kwargs"), expected="a whole number, 1 or more"))
    chosen = {key: values[key] for key in _CHOICES if key in values}
    return AgentSettings(max_agentic_steps=num_steps, **chosen)


def offered_tools(doc: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The tools of a document, and `submit`, as a server is told of them.

    Raises:
        DocumentError: It lists none, or one without a name.
    """
    listed = doc.get("tools")
    if not listed or not all(isinstance(tool, Mapping) and tool.get("name") for tool in listed):
        raise DocumentError(
            explain(
                "tool_format=native needs documents with `tools`",
                expected='a list of {"name", "description", "parameters"}',
                remedy="leave tool_format out: models then write tags",
            )
        )
    tools = [
        {
            "name": str(tool["name"]),
            "description": str(tool.get("description") or ""),
            "parameters": _schema(tool.get("parameters")),
        }
        for tool in listed
    ]
    return (*tools, *([] if any(tool["name"] == SUBMIT for tool in tools) else [_SUBMIT_TOOL]))


def _schema(parameters: Any) -> Mapping[str, Any]:
    schema = json.loads(parameters) if isinstance(parameters, str) and parameters else parameters
    return schema if isinstance(schema, Mapping) else {"type": "object", "properties": {}}


def tagged(text: str, calls: Sequence[ToolCall]) -> str:
    """A reply as text: what was said, and each native call in the tags that callbacks read.

    Arguments that are no JSON are written as a text, which no callback takes for arguments.
    """
    return "\n".join([*([text] if text.strip() or not calls else []), *(_tag(call) for call in calls)])


def _tag(call: ToolCall) -> str:
    arguments = _json(call.arguments or "{}")
    if call.name == SUBMIT:
        return f"<submit>{_inside(arguments)}</submit>"
    return f"<tool_call>{_inside({'name': call.name, 'arguments': arguments})}</tool_call>"


def _json(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value)
    except (ValueError, RecursionError):
        return text
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _inside(value: Any) -> str:
    """JSON that can hold no tag."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def continued(asked: Request, said: str, calls: Sequence[ToolCall], new: Sequence[Message], info: Any) -> list[Message]:
    """The conversation, the reply, and what comes after it.

    Every native call is answered under its id: the last one by the callback's text, those before it by their place in
    the info's `tool_results`, where the callback keeps them.

    Args:
        asked: The last request.
        said: The reply's text, without thoughts.
        calls: Its native calls.
        new: What the callback wants said next.
        info: What it returned as its info.
    """
    if not calls:
        return [*asked.messages, Message(role="assistant", content=(said if said.strip() else SAID_NOTHING,)), *new]
    calls = _with_own_ids(asked.messages, calls)
    spoken = (said,) if said.strip() else ()
    messages = [*asked.messages, Message(role="assistant", content=spoken, tool_calls=tuple(calls))]
    parts = [part for message in new for part in message.content]
    texts = _results(info, len(calls))
    texts[-1] = "\n".join(part for part in parts if isinstance(part, str))
    messages += [
        Message(role="tool", content=(text,), call_id=call.id) for call, text in zip(calls, texts, strict=True)
    ]
    media = tuple(part for part in parts if not isinstance(part, str))
    return [*messages, Message(role="user", content=media)] if media else messages


def _with_own_ids(before: Sequence[Message], calls: Sequence[ToolCall]) -> list[ToolCall]:
    """The calls, each under an id that the conversation does not have yet: some servers number every reply from 0."""
    taken = {call.id for message in before for call in message.tool_calls}
    found = []
    for call in calls:
        number = len(taken)
        while call.id in taken:
            call, number = replace(call, id=f"call_{number}"), number + 1
        taken.add(call.id)
        found.append(call)
    return found


def _results(info: Any, number: int) -> list[str]:
    found = info.get("tool_results") if isinstance(info, Mapping) else None
    results = [json.dumps(r, ensure_ascii=False, default=str) for r in found] if isinstance(found, list) else []
    return [*[""] * (number - len(results)), *results[-number:]]


def new_text(request: Request, asked: Request) -> str:
    """The text of a request, without the conversation that it goes on with and the reply in it."""
    new = request.messages[len(asked.messages) :]
    if not new or request.messages[: len(asked.messages)] != asked.messages:
        return request.text
    return "\n".join(part for m in new if m.role != "assistant" for part in m.content if isinstance(part, str))


def round_of(asked: str, response: Response, info: Any, following: str | None, *, is_terminal: bool) -> dict[str, Any]:
    """One round as a full trace has it, in lmms-eval's words.

    Args:
        asked: The prompt.
        response: The reply.
        info: What the callback returned as its info, as it was then.
        following: The next prompt; None at the end.
        is_terminal: Whether the callback ended the episode.
    """
    found: dict[str, Any] = {
        "round_input": asked,
        "model_output": tagged(response.text, response.tool_calls),
        "terminal": is_terminal,
    }
    if isinstance(info, Mapping):
        found |= {"state": info.get("state"), "tool_result": info.get("last_tool_result")}
        found |= {key: info.get(key) for key in _COUNTS}
    return {**found, "next_input": following or ""}


def with_trace(spoken: Any, rounds: Sequence[Mapping[str, Any]]) -> Any:
    """A final payload with every round in it; one that is no JSON object stays as it is."""
    try:
        payload = json.loads(spoken)
    except (TypeError, ValueError, RecursionError):
        return spoken
    if not isinstance(payload, dict):
        return spoken
    numbered = [{"round_idx": number, **each} for number, each in enumerate(rounds, 1)]
    added = {"agentic_trace_mode": "full", "agentic_rounds": numbered}
    return json.dumps({**payload, **added}, ensure_ascii=False, default=str)
