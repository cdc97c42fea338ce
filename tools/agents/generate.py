"""Write the documents of the generated agentic tasks, 50 a task, from a seed.

    python tools/agents/generate.py

Run twice, the files are the same to the byte; a test compares them with what lies in `benchmarks/`. Each document's
target is what the best agent of `policies.py` reaches (of cash, 97 %).
"""

from __future__ import annotations

import copy
import json
import random
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.agents import policies  # noqa: E402

SEED, NUM_DOCUMENTS, SHARE_OF_BEST = 7, 50, 0.97
NUM_IN_MINIATURE = 4
Row = dict[str, Any]


def tool(name: str, description: str, /, **arguments: dict[str, Any]) -> Row:
    """A tool with a schema that demands all of its arguments and allows no others."""
    schema = {"type": "object", "properties": arguments, "required": list(arguments), "additionalProperties": False}
    return {"name": name, "description": description, "parameters": json.dumps(schema)}


NUMBER, WHOLE, SWITCH = {"type": "number"}, {"type": "integer"}, {"type": "boolean"}
VENDING_TOOLS = [
    tool("get_vending_status", "Read cash, inventory, price and days"),
    tool("set_price", 'Set the price with arguments: {"price": number}', price=NUMBER),
    tool("restock", 'Buy items with arguments: {"units": integer}', units=WHOLE),
    tool("simulate_days", 'Sell for some days with arguments: {"days": integer}', days=WHOLE),
]
TELECOM_TOOLS = [
    tool("get_line_status", "Read the whole state of the line"),
    tool("set_airplane_mode", 'Switch airplane mode with arguments: {"enabled": boolean}', enabled=SWITCH),
    tool("set_roaming", 'Switch roaming with arguments: {"enabled": boolean}', enabled=SWITCH),
    tool("set_mobile_data", 'Switch mobile data with arguments: {"enabled": boolean}', enabled=SWITCH),
    tool("set_apn", 'Name the access point with arguments: {"name": string}', name={"type": "string"}),
    tool("refuel_data", 'Sell more data, at most 5 GB, with arguments: {"gb": number}', gb=NUMBER),
    tool("pay_bill", 'Take a payment with arguments: {"amount": number}', amount=NUMBER),
    tool("resume_line", "End a suspension, once no bill is due"),
    tool("reset_network", "Connect anew, so that changes take effect"),
]


def vending_row(number: int, dice: random.Random) -> Row:
    """One machine, and the cash that it can make."""
    lease = dice.randint(8, 20)
    cost = dice.randint(2, 8) / 4
    base, drop = dice.randint(20, 40), dice.choice([2.0, 2.5, 3.0, 4.0])
    state = {
        "cash": float(dice.randint(120, 260)), "inventory": dice.randint(0, 10), "price": round(cost + 0.25, 2),
        "cost_per_unit": cost, "base_demand": base, "demand_drop": drop, "rent_per_day": float(dice.randint(1, 6)),
        "capacity": dice.randint(base * lease // 6, base * lease // 4), "days_elapsed": 0, "lease_days": lease,
    }  # fmt: skip
    end = played(policies.vending.SIMULATOR, policies.best_vending, state)
    cash = int(end["cash"] * SHARE_OF_BEST)
    query = (
        f"You lease a vending machine for {lease} days. People buy base_demand - demand_drop * price units "
        f"a day, rounded down; each day costs rent; at most capacity units fit in. Use the whole lease, end with at "
        f"least {cash} in cash, then submit."
    )
    target = {"min_cash": float(cash), "min_days_elapsed": lease}
    return row(f"vending_generated_{number:04}", query, state, target, VENDING_TOOLS)


def telecom_row(number: int, dice: random.Random) -> Row:
    """One line with three to six faults."""
    abroad = dice.random() < 0.5
    faults = set(dice.sample(["airplane", "roaming", "data", "apn", "limit", "bill"], dice.randint(3, 6)))
    used, refuel = float(dice.randint(2, 9)), float(dice.randint(1, 5))
    has_bill = "bill" in faults
    state = {
        "abroad": abroad, "airplane_mode": "airplane" in faults, "roaming_enabled": abroad ^ ("roaming" in faults),
        "mobile_data_enabled": "data" not in faults, "carrier_apn": "internet",
        "apn": "old.carrier" if "apn" in faults else "internet", "data_used_gb": used,
        "data_limit_gb": used if "limit" in faults else used + 1.0, "wanted_refuel_gb": refuel,
        "bill_due": float(dice.randint(5, 90)) if has_bill else 0.0, "line_suspended": has_bill,
        "mobile_data_working": False,
    }  # fmt: skip
    target = {
        "mobile_data_working": True, "roaming_enabled": abroad, "bill_due": 0.0,
        "data_limit_gb": state["data_limit_gb"] + (refuel if "limit" in faults else 0.0),
    }  # fmt: skip
    place = "abroad" if abroad else "at home"
    query = (
        f"My mobile data do not work. I am {place}: roaming has to be {'on' if abroad else 'off'} in the end. If my "
        f"data are used up, sell me {refuel:g} GB, once; "
        f"otherwise none. I pay what is due, to the cent. Submit when data work."
    )
    return row(f"tau2_generated_telecom_{number:04}", query, state, target, TELECOM_TOOLS) | {"domain": "telecom"}


def row(name: str, query: str, state: Row, target: Row, tools: list[Row]) -> Row:
    """One document."""
    return {"id": name, "user_query": query, "initial_state": state, "target_state": target, "tools": tools}


def played(simulator: Any, policy: Any, state: Row) -> Row:
    """The state in which a policy submits."""
    now = copy.deepcopy(state)
    while (reply := policy(now)) != policies.SUBMIT:
        wanted = json.loads(reply.removeprefix("<tool_call>").removesuffix("</tool_call>"))
        if "error" in (result := simulator.tools[wanted["name"]](now, wanted["arguments"])):
            raise ValueError(f"the best agent errs: {reply} gives {result}")
    return now


def files() -> dict[Path, str]:
    """Every file and its content."""
    found = {}
    makers = {
        ("vending_bench2", "vending_bench2_generated", "vending_bench2_generated"): vending_row,
        ("tau2_bench_telecom", "tau2_telecom_generated", "tau2_bench_telecom_generated"): telecom_row,
    }
    for (folder, data, task), make in makers.items():
        dice = random.Random(SEED)
        lines = [json.dumps(make(n, dice)) + "\n" for n in range(1, NUM_DOCUMENTS + 1)]
        found[ROOT / "benchmarks" / folder / "data" / f"{data}.jsonl"] = "".join(lines)
        found[ROOT / "benchmarks" / folder / "miniature" / f"{task}.jsonl"] = "".join(lines[:NUM_IN_MINIATURE])
    return found


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content, encoding="utf-8")
