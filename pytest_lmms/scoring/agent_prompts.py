"""What an agent is asked: the whole situation anew, or, in a conversation, what its call brought.

Wordings that tags need are left out where a model has tools of its own (`tool_format=native`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def is_native(kwargs: Mapping[str, Any] | None) -> bool:
    """Tell whether the model has tools of its own, instead of tags to write."""
    return (kwargs or {}).get("tool_format") == "native"


def is_conversation(kwargs: Mapping[str, Any] | None) -> bool:
    """Tell whether the model sees what was said before, so that nothing of it has to be said again."""
    return (kwargs or {}).get("agentic_history") == "conversation"


def shown(value: Any) -> str:
    """A state or result as it stands in a prompt."""
    return json.dumps(value, ensure_ascii=False)


def situation(
    title: str,
    doc: Mapping[str, Any],
    state: Mapping[str, Any],
    result: Any,
    kwargs: Mapping[str, Any] | None,
    *,
    label: str = "Current state",
    note: str | None = None,
) -> str:
    """Return the next prompt.

    Args:
        title: What kind of loop it is.
        doc: The document; has `user_query` and `tools`.
        state: As it is now.
        result: Of the last call; None before the first.
        kwargs: The task's `lmms_eval_specific_kwargs`; they say how tools are called and what the model still sees.
        label: What the state is called.
        note: Said instead of how to answer.
    """
    if result is not None and is_conversation(kwargs):
        told = shown(result) if is_native(kwargs) else f"Tool result: {shown(result)}"
        return told if note is None else f"{told}\n{note}"
    seen = [] if result is None else [f"Tool result: {shown(result)}"]
    ending = loop_text(title, doc, kwargs) if note is None else note
    return "\n".join([doc["user_query"], f"{label}: {shown(state)}", *seen, ending])


def loop_text(title: str, doc: Mapping[str, Any], kwargs: Mapping[str, Any] | None = None) -> str:
    """Return the lines that say how to answer and which tools there are; natively, the request itself has the tools."""
    if is_native(kwargs):
        return (
            f"You are in an agentic {title} loop.\nEither call exactly one tool, or call submit with your final answer."
        )
    tools = [f"- {tool['name']}: {tool['description']}" for tool in doc["tools"]]
    lines = [
        f"You are in an agentic {title} loop.",
        "Either call exactly one tool or submit final answer.",
        'Tool format: <tool_call>{"name":"tool_name","arguments":{}}</tool_call>',
        'Submit format: <submit>{"final":"..."}</submit>',
        "Available tools:",
        *tools,
    ]
    return "\n".join(lines)
