"""Agents that play the generated tasks: the best one knows the rules, the random one only the tools.

A policy reads a prompt and gives a reply, and keeps nothing in between.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Mapping
from typing import Any

from pytest_lmms import catalog

State = Mapping[str, Any]
PRICES = [price / 4 for price in range(1, 81)]
"""What the best agent considers, in quarters."""
vending = catalog.import_file(catalog.folder("benchmarks") / "vending_bench2" / "generated.py")
telecom = catalog.import_file(catalog.folder("benchmarks") / "tau2_bench_telecom" / "generated.py")


def call(name: str, /, **arguments: Any) -> str:
    """A tool call as text."""
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


SUBMIT = '<submit>{"final": "done"}</submit>'


def state_in(prompt: str) -> dict[str, Any]:
    """The state that a prompt shows."""
    found: dict[str, Any] = json.loads(re.findall(r"^Current (?:simulator )?state: (.*)$", prompt, re.MULTILINE)[-1])
    return found


def best_vending(state: State) -> str:
    """The next step of an agent that maximises the cash at the end of the lease."""
    days_left = state["lease_days"] - state["days_elapsed"]
    if days_left == 0:
        return SUBMIT
    price = max(PRICES, key=lambda p: (p - state["cost_per_unit"]) * vending.daily_sales(state, p))
    if state["price"] != price:
        return call("set_price", price=price)
    a_day, inventory = vending.daily_sales(state, price), state["inventory"]
    if inventory < a_day * days_left and (inventory < a_day or state["days_elapsed"] == 0):
        room, affordable = state["capacity"] - inventory, math.floor(state["cash"] / state["cost_per_unit"])
        if units := min(a_day * days_left - inventory, room, affordable):
            return call("restock", units=units)
    return call("simulate_days", days=min(days_left, max(1, inventory // a_day)))


def best_telecom(state: State) -> str:
    """The next step of an agent that repairs what is broken, and nothing else."""
    if state["mobile_data_working"]:
        return SUBMIT
    steps = [
        (state["airplane_mode"], call("set_airplane_mode", enabled=False)),
        (state["roaming_enabled"] != state["abroad"], call("set_roaming", enabled=state["abroad"])),
        (not state["mobile_data_enabled"], call("set_mobile_data", enabled=True)),
        (state["apn"] != state["carrier_apn"], call("set_apn", name=state["carrier_apn"])),
        (state["data_used_gb"] >= state["data_limit_gb"], call("refuel_data", gb=state["wanted_refuel_gb"])),
        (state["bill_due"] > 0, call("pay_bill", amount=state["bill_due"])),
        (state["line_suspended"], call("resume_line")),
    ]
    return next((step for is_needed, step in steps if is_needed), call("reset_network"))


def random_vending(dice: random.Random) -> str:
    """Any step, with arguments of a sensible size."""
    return dice.choice([
        call("get_vending_status"), call("set_price", price=round(dice.uniform(0.5, 10), 2)),
        call("restock", units=dice.randint(1, 60)), call("simulate_days", days=dice.randint(1, 10)), SUBMIT,
    ])  # fmt: skip


def random_telecom(dice: random.Random) -> str:
    """Any step, with arguments of a sensible size."""
    switches = ("set_airplane_mode", "set_roaming", "set_mobile_data")
    return dice.choice([
        call("get_line_status"), call("set_apn", name=dice.choice(["internet", "web.carrier", "mms"])),
        call("refuel_data", gb=dice.randint(1, 5)), call("pay_bill", amount=dice.randint(5, 90)),
        call("resume_line"), call("reset_network"), SUBMIT, *(call(s, enabled=dice.random() < 0.5) for s in switches),
    ])  # fmt: skip


BEST = {"vending_bench2_generated": best_vending, "tau2_bench_telecom_generated": best_telecom}
RANDOM = {"vending_bench2_generated": random_vending, "tau2_bench_telecom_generated": random_telecom}


def best_reply(task: str, prompt: str) -> str:
    """What the best agent says to a prompt."""
    return BEST[task](state_in(prompt))


def random_reply(task: str, prompt: str) -> str:
    """What the random agent says: the same to the same prompt."""
    return RANDOM[task](random.Random(prompt))
