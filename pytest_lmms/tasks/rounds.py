"""Documents that are asked in several rounds: what a task's callback answers after each.

In `generate_until_multi_round` and `generate_until_agentic` tasks, `doc_to_text` (or a `doc_to_messages` that takes the
same keywords) is called again after every response, with all outputs so far. Knows what such a callback returns; the
loop itself is in `evaluate`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pytest_lmms.errors import DocumentError, explain
from pytest_lmms.records import Message
from pytest_lmms.tasks.messages import auto_messages, to_messages

MULTI_ROUND, AGENTIC = "generate_until_multi_round", "generate_until_agentic"
ROUND_TYPES = (MULTI_ROUND, AGENTIC)
MAX_ROUNDS = 100
"""Rounds of any other document; one that has not ended by then is an error."""
_STATE_KEYS = ("cash", "days_elapsed", "inventory", "mobile_data_working")
"""Entries of an agent's state that lmms-eval repeats beside it when the steps run out."""


class Turn(NamedTuple):
    """What a callback says after a response."""

    messages: tuple[Message, ...] | None
    """What to ask next; None when the document is finished."""
    outputs: list[Any]
    """All outputs so far, as the callback wants them kept; the last one is the final answer of an agentic document."""
    info: Any
    """Handed to the next call as `previous_round_info`."""
    is_terminal: bool = False
    """Whether the callback itself declared the document finished."""


def read_turn(
    payload: Any, outputs: Sequence[Any], info: Any, *, visuals: Callable[[], Sequence[Any]], is_chat: bool
) -> Turn:
    """Interpret what a callback returned.

    Args:
        payload: ``(visuals, text, terminal, outputs, info)``, for a `doc_to_messages` ``(messages, terminal, outputs,
            info)``; or the next text or messages alone; anything else, such as None, ends the document.
        outputs: All outputs so far.
        info: What the last call returned as its info.
        visuals: Gives the media of the last round, for a callback that leaves them as they are.
        is_chat: Whether the callback is a `doc_to_messages`.

    Raises:
        DocumentError: A tuple of another length, or outputs that are no list.
    """
    if isinstance(payload, tuple):
        expected = 4 if is_chat else 5
        if len(payload) != expected:
            shape = "(messages, terminal, outputs, info)" if is_chat else "(visuals, text, terminal, outputs, info)"
            raise DocumentError(explain(f"the callback returned {len(payload)} values", expected=shape))
        *asked, terminal, kept, info = payload
        outputs = _outputs(kept) if kept is not None else list(outputs)
        if terminal or asked[-1] is None:
            return Turn(None, list(outputs), info, bool(terminal))
        if is_chat:
            return Turn(to_messages(asked[0]), list(outputs), info)
        shown = visuals() if asked[0] is None else asked[0]
        return Turn(auto_messages(shown, str(asked[1])), list(outputs), info)
    if isinstance(payload, str):
        return Turn(auto_messages(visuals(), payload), list(outputs), info)
    if is_chat and payload:
        return Turn(to_messages(payload), list(outputs), info)
    return Turn(None, list(outputs), info)


def _outputs(kept: Any) -> list[Any]:
    if isinstance(kept, (str, bytes, Mapping)) or not isinstance(kept, Iterable):
        expected = "a list of all outputs; the last one is what is scored"
        raise DocumentError(explain(f"the callback returned outputs that are {kept!r:.80}", expected=expected))
    return list(kept)


def final_output(outputs: Sequence[Any], info: Any, *, is_terminal: bool) -> Any:
    """What an agentic document is scored by, once it is asked no more.

    Args:
        outputs: All outputs.
        info: What the callback returned last as its info.
        is_terminal: Whether the callback itself ended the document.

    Returns:
        The last output, where the callback ended the document or keeps no info of which a payload could tell; else
        the payload of `out_of_steps`.
    """
    return outputs[-1] if outputs and (is_terminal or info is None) else out_of_steps(outputs, info)


def out_of_steps(outputs: Sequence[Any], info: Any) -> str:
    """The final payload of an agentic document whose steps ran out before it submitted, as lmms-eval writes it.

    Args:
        outputs: Everything the model said.
        info: The last `previous_round_info`; its `state`, `tool_calls`, `valid_tool_calls`, `invalid_steps` are taken.

    Returns:
        JSON: ``success`` false, ``error`` ``max_agentic_steps_reached``, counts, state and trace.

    Raises:
        DocumentError: A count that is no number.
    """
    known: Mapping[str, Any] = info if isinstance(info, Mapping) else {}
    state = known.get("state", {})
    calls = _count(known, "tool_calls", 0.0)
    payload = {
        "success": False,
        "error": "max_agentic_steps_reached",
        "tool_calls": calls,
        "valid_tool_calls": _count(known, "valid_tool_calls", calls),
        "invalid_steps": _count(known, "invalid_steps", 0.0),
        "state": state,
        "last_model_output": outputs[-1] if outputs else "",
        "trace": list(outputs),
    }
    if isinstance(state, Mapping):
        payload |= {k: state[k] for k in _STATE_KEYS if k in state}
    return json.dumps(payload, ensure_ascii=False, default=str)


def _count(info: Mapping[str, Any], key: str, default: float) -> float:
    value = info.get(key)
    try:
        return default if value is None else float(value)
    except (TypeError, ValueError):
        text = f"the callback's info has {key} {value!r:.80}"
        raise DocumentError(explain(text, expected="a number: how many there were so far")) from None
