"""`pytest-lmms power`: how many documents a comparison of two models needs."""

from __future__ import annotations

import argparse
from typing import Any

from pytest_lmms.cli.shared import OK, add_json, print_json
from pytest_lmms.errors import UsageError, explain


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    add_json(parser)
    parser.set_defaults(run=_power)
    for flag, default, text in (
        ("--effect-size", 0.03, "difference of the two means that must not be missed"),
        ("--alpha", 0.05, "probability of seeing a difference where there is none, two-sided"),
        ("--power", 0.8, "probability of seeing the difference when it is there"),
        ("--correlation", 0.5, "of the two models' scores over documents, -1 to 1"),
    ):
        others = ("--effect",) if flag == "--effect-size" else ()
        parser.add_argument(flag, *others, type=float, default=default, metavar="X", help=f"{text} (default {default})")
    text = "documents that both models answer: tells the power they give, and the smallest difference they show"
    parser.add_argument("--num-documents", type=int, metavar="N", help=text)
    for model, letter in (("first", "a"), ("second", "b")):
        text = f"standard deviation of the {model} model's scores (default: the other's, else 0.5)"
        parser.add_argument(f"--std-{letter}", type=float, metavar="X", help=text)


def _power(parsed: argparse.Namespace) -> int:
    from pytest_lmms import stats

    shared = {"alpha": parsed.alpha, "correlation": parsed.correlation, "std_a": parsed.std_a, "std_b": parsed.std_b}
    count = parsed.num_documents
    try:
        found: dict[str, Any] = {"effect": parsed.effect_size, "power": parsed.power, **shared}
        found["documents_needed"] = stats.sample_size(parsed.effect_size, power=parsed.power, **shared)
        if count is not None:
            found["num_documents"] = count
            found["power_now"] = stats.power(count, parsed.effect_size, **shared)
            found["minimum_detectable_effect"] = stats.minimum_detectable_effect(count, power=parsed.power, **shared)
    except ValueError as e:
        raise UsageError(explain(str(e), where="power")) from e
    if parsed.json:
        print_json(found)
        return OK
    print(
        f"{found['documents_needed']} documents show a difference of {parsed.effect_size:g} between two models"
        f" with power {parsed.power:g} at level {parsed.alpha:g}"
    )
    if count is not None:
        print(f"{count} documents show a difference of {parsed.effect_size:g} with power {found['power_now']:.3f}")
        print(
            f"{count} documents show differences from {found['minimum_detectable_effect']:.4f} with power"
            f" {parsed.power:g}"
        )
    return OK
