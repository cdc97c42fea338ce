"""A vending machine whose price matters; there is rent, a shelf that is soon full, and a lease that ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_lmms.scoring.actions import Simulator, State, begin, number, play
from pytest_lmms.scoring.agent_prompts import situation

from .utils import Doc, get_vending_status, set_price
from .utils import restock as buy


def daily_sales(state: Doc, price: float) -> int:
    """Units that people buy on one day at a price."""
    return max(0, int(state["base_demand"] - state["demand_drop"] * price))


def restock(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: buy items, as far as cash and room reach."""
    room = state["capacity"] - state["inventory"]
    if number(arguments, "units", 0) > room:
        return {"error": "not enough room", "room": room}
    return buy(state, arguments)


def simulate_days(state: State, arguments: Doc) -> dict[str, Any]:
    """Tool: sell for some days, and pay their rent."""
    days, left = int(number(arguments, "days", 1)), state["lease_days"] - state["days_elapsed"]
    if days <= 0:
        return {"error": "days must be > 0"}
    if days > left:
        return {"error": "the lease ends before", "days_left": left}
    sold = min(daily_sales(state, state["price"]) * days, state["inventory"])
    earned = sold * state["price"] - days * state["rent_per_day"]
    state["inventory"] -= sold
    state["cash"] = round(state["cash"] + earned, 2)
    state["days_elapsed"] += days
    return {"ok": True, "sold_units": sold, "earned": round(earned, 2), **get_vending_status(state, {})}


def _prompt(doc: Doc, state: State, result: Any, kwargs: Doc | None) -> str:
    return situation("vending operation", doc, state, result, kwargs, label="Current simulator state")


def _is_solved(doc: Doc, state: State) -> bool:
    target = doc["target_state"]
    return bool(state["cash"] >= target["min_cash"] and state["days_elapsed"] >= target["min_days_elapsed"])


SIMULATOR = Simulator(
    tools={tool.__name__: tool for tool in (get_vending_status, set_price, restock, simulate_days)},
    prompt=_prompt,
    is_solved=_is_solved,
    summary=lambda state: {key: state[key] for key in ("cash", "days_elapsed", "inventory")},
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
