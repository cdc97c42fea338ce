"""A vending machine to be run by tool calls: a small simulator that leaves nothing to chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.actions import Simulator, State, begin, number, play, read_payload, step_validity
from pytest_lmms.scoring.agent_prompts import situation

Doc = Mapping[str, Any]


def get_vending_status(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: say how things stand."""
    return {key: state[key] for key in ("cash", "inventory", "price", "days_elapsed")}


def set_price(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: change the price of an item."""
    price = number(arguments, "price", state["price"])
    if price <= 0:
        return {"error": "price must be positive"}
    state["price"] = price
    return {"ok": True, "price": price}


def restock(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: buy items, as far as the cash reaches."""
    units = int(number(arguments, "units", 0))
    needed = units * state["cost_per_unit"]
    if units <= 0:
        return {"error": "units must be > 0"}
    if needed > state["cash"]:
        return {"error": "insufficient cash", "needed": needed, "cash": state["cash"]}
    state["cash"] -= needed
    state["inventory"] += units
    return {"ok": True, "inventory": state["inventory"], "cash": state["cash"]}


def simulate_days(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: sell for some days; the price does not matter for demand."""
    days = int(number(arguments, "days", 1))
    if days <= 0:
        return {"error": "days must be > 0"}
    sold = min(int(state["daily_demand"] * days), state["inventory"])
    revenue = sold * state["price"]
    state["inventory"] -= sold
    state["cash"] += revenue
    state["days_elapsed"] += days
    now = {key: state[key] for key in ("cash", "inventory", "days_elapsed")}
    return {"ok": True, "sold_units": sold, "revenue": revenue} | now


def _prompt(doc: Doc, state: State, result: Any, kwargs: Doc | None) -> str:
    return situation("vending operation", doc, state, result, kwargs, label="Current simulator state")


def _is_solved(doc: Doc, state: State) -> bool:
    target = doc["target_state"]
    has_cash = float(state["cash"]) >= float(target["min_cash"])
    return has_cash and int(state["days_elapsed"]) >= int(target["min_days_elapsed"])


SIMULATOR = Simulator(
    tools={tool.__name__: tool for tool in (get_vending_status, set_price, restock, simulate_days)},
    prompt=_prompt,
    is_solved=_is_solved,
    summary=lambda state: {key: state[key] for key in ("cash", "days_elapsed", "inventory")},
    checks_arguments=False,
)


def vending_doc_to_text(
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


def _share(value: float, target: float) -> float:
    return min(value / target, 1.0) if target > 0 else 1.0


def vending_process_results(doc: Doc, results: Sequence[Any]) -> dict[str, float]:
    """Score one episode from its final payload."""
    payload, target = read_payload(results[0]), doc["target_state"]
    balance, days = (float(payload.get(key, 0) or 0) for key in ("cash", "days_elapsed"))
    progress = _share(balance, float(target["min_cash"])) + _share(days, float(target["min_days_elapsed"]))
    validity, progress, ending = step_validity(payload), progress / 2, float(bool(payload.get("submit")))
    if not payload:
        validity = progress = ending = 0.0
    return {
        "vending_success": float(bool(payload.get("success"))),
        "vending_final_balance": balance,
        "vending_days_active": days,
        "vending_trace_quality": (validity + progress + ending) / 3,
        "vending_trace_step_validity": validity,
        "vending_trace_state_progress": progress,
        "vending_trace_termination_quality": ending,
    }
