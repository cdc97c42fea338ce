"""A telephone line to be repaired by tool calls: a small simulator in the manner of tau2-bench's telecom domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.actions import Simulator, State, begin, play, read_payload, step_validity
from pytest_lmms.scoring.agent_prompts import is_native, situation

Doc = Mapping[str, Any]
SOLVED = (
    "Target state is already satisfied. Do not call any more tools.\n"
    "Output exactly one submit in this format and nothing else:\n"
    '<submit>{"final":"mobile data works now"}</submit>'
)
SOLVED_NATIVELY = "Target state is already satisfied. Call submit, and no other tool."


def get_line_status(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: say how the line stands."""
    return {key: state[key] for key in ("abroad", "airplane_mode", "roaming_enabled", "mobile_data_working")}


def disable_airplane_mode(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: leave airplane mode; data work then, abroad with roaming."""
    state["airplane_mode"] = False
    if state["roaming_enabled"] and state["abroad"]:
        state["mobile_data_working"] = True
    return {"ok": True}


def enable_roaming(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: allow roaming; data work then, abroad and out of airplane mode."""
    state["roaming_enabled"] = True
    if not state["airplane_mode"] and state["abroad"]:
        state["mobile_data_working"] = True
    return {"ok": True}


def reset_network(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: connect anew."""
    state["mobile_data_working"] = bool(state["roaming_enabled"] and not state["airplane_mode"] and state["abroad"])
    return {"ok": True}


def _is_reached(doc: Doc, state: Doc) -> list[bool]:
    return [state.get(key) == value for key, value in (doc["target_state"] or {}).items()]


def _prompt(doc: Doc, state: State, result: Any, kwargs: Doc | None) -> str:
    reached = _is_reached(doc, state)
    note = (SOLVED_NATIVELY if is_native(kwargs) else SOLVED) if reached and all(reached) else None
    return situation("telecom support", doc, state, result, kwargs, note=note)


SIMULATOR = Simulator(
    tools={t.__name__: t for t in (get_line_status, disable_airplane_mode, enable_roaming, reset_network)},
    prompt=_prompt,
    is_solved=lambda doc, state: all(_is_reached(doc, state)),
    summary=lambda state: {"state": state},
    reads_bare_json=True,
    checks_arguments=False,
)


def tau2_doc_to_text(
    doc: Doc,
    lmms_eval_specific_kwargs: Doc | None = None,
    previous_output: Sequence[str] | None = None,
    round_idx: int | None = None,
    previous_round_info: Doc | None = None,
) -> Any:
    """Return the first prompt, or the next step of an episode."""
    if previous_output:
        return play(SIMULATOR, doc, previous_output, previous_round_info, lmms_eval_specific_kwargs)
    return _prompt(doc, begin(doc)["state"], None, lmms_eval_specific_kwargs)


def tau2_process_results(doc: Doc, results: Sequence[Any]) -> dict[str, float]:
    """Score one episode from its final payload."""
    payload = read_payload(results[0])
    reached = _is_reached(doc, payload.get("state") or {}) if payload else []
    progress = sum(reached) / len(reached) if reached else 0.0
    validity, ending = step_validity(payload), float(bool(payload.get("submit")))
    return {
        "tau2_success": float(bool(payload.get("success"))),
        "tau2_avg_tool_calls": float(payload.get("tool_calls", 0) or 0),
        "tau2_trace_quality": (validity + progress + ending) / 3,
        "tau2_trace_step_validity": validity,
        "tau2_trace_state_progress": progress,
        "tau2_trace_termination_quality": ending,
    }
