"""A telephone line with several faults at once, and a customer who wants no more than was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.actions import Simulator, State, begin, number, play
from pytest_lmms.scoring.agent_prompts import situation

from .utils import Doc

MAX_REFUEL_GB = 5


def get_line_status(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: say how the line stands."""
    return dict(state)


def _switch(key: str) -> Callable[[State, Doc], dict[str, Any]]:
    def tool(state: State, arguments: Doc) -> dict[str, Any]:
        if not isinstance(arguments.get("enabled"), bool):
            return {"error": "enabled must be true or false"}
        state[key] = arguments["enabled"]
        return {"ok": True, key: state[key]}

    return tool


def set_apn(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: name the access point."""
    state["apn"] = str(arguments.get("name", ""))[:40]
    return {"ok": True, "apn": state["apn"]}


def refuel_data(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: sell the customer more data."""
    gigabytes = number(arguments, "gb", 0)
    if not 0 < gigabytes <= MAX_REFUEL_GB:
        return {"error": f"gb must be more than 0 and at most {MAX_REFUEL_GB}"}
    state["data_limit_gb"] += gigabytes
    return {"ok": True, "data_limit_gb": state["data_limit_gb"]}


def pay_bill(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: take a payment; only of what is due."""
    if state["bill_due"] <= 0 or number(arguments, "amount", 0) != state["bill_due"]:
        return {"error": "the amount is not what is due", "bill_due": state["bill_due"]}
    state["bill_due"] = 0.0
    return {"ok": True, "bill_due": 0.0}


def resume_line(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: end a suspension, once nothing is due."""
    if state["bill_due"] > 0:
        return {"error": "a bill is due", "bill_due": state["bill_due"]}
    state["line_suspended"] = False
    return {"ok": True}


def reset_network(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: connect anew; only this makes data work."""
    is_ready = state["mobile_data_enabled"] and not (state["airplane_mode"] or state["line_suspended"])
    has_data = state["data_used_gb"] < state["data_limit_gb"] and state["apn"] == state["carrier_apn"]
    state["mobile_data_working"] = bool(is_ready and has_data and (state["roaming_enabled"] or not state["abroad"]))
    return {"ok": True, "mobile_data_working": state["mobile_data_working"]}


def _is_solved(doc: Doc, state: State) -> bool:
    return all(state.get(key) == value for key, value in doc["target_state"].items())


def _prompt(doc: Doc, state: State, result: Any, kwargs: Doc | None) -> str:
    return situation("telecom support", doc, state, result, kwargs)


TOOLS: Mapping[str, Callable[[State, Doc], dict[str, Any]]] = {
    **{tool.__name__: tool for tool in (get_line_status, set_apn, refuel_data, pay_bill, resume_line, reset_network)},
    "set_airplane_mode": _switch("airplane_mode"),
    "set_roaming": _switch("roaming_enabled"),
    "set_mobile_data": _switch("mobile_data_enabled"),
}
SIMULATOR = Simulator(
    tools=TOOLS,
    prompt=_prompt,
    is_solved=_is_solved,
    summary=lambda state: {"state": state},
    reads_bare_json=True,
)


def generated_doc_to_text(
    doc: Doc,
    lmms_eval_specific_kwargs: Doc | None = None,
    previous_output: Sequence[str] | None = None,
    round_idx: int | None = None,
    previous_round_info: Doc | None = None,
) -> Any:
    """Return the first prompt, or what comes after a reply."""
    if previous_output is None:
        return _prompt(doc, begin(doc)["state"], None, lmms_eval_specific_kwargs)
    return play(SIMULATOR, doc, previous_output, previous_round_info, lmms_eval_specific_kwargs)
