"""The eight solved problems of Wei et al. 2022 (arXiv:2201.11903, table 20) that chain-of-thought variants show."""

from __future__ import annotations

import json
from pathlib import Path


def _end_with(ending: str) -> list[dict[str, str]]:
    lines = Path(__file__).with_name("eight_examples.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        {"question": row["question"], "target": f"{row['reasoning']} {ending.format(row['number'])}"}
        for row in map(json.loads, lines)
    ]


def solved() -> list[dict[str, str]]:
    """Return the examples, each ending in the way of `The answer is 6.` (the paper's)."""
    return _end_with("The answer is {}.")


def solved_for_llama() -> list[dict[str, str]]:
    """Return the examples, each ending as `The final answer is 6`, as Llama's evaluation asks for it."""
    return _end_with("The final answer is {}")
