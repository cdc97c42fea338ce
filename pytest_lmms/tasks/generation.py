"""Generation settings: from a YAML's or a user's mapping to `Generation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_lmms.errors import TaskError, explain
from pytest_lmms.records import Generation

_SAME_MEANING = {"max_gen_toks": "max_new_tokens", "max_tokens": "max_new_tokens", "stop": "until"}
_KNOWN = frozenset({"max_new_tokens", "temperature", "top_p", "top_k", "num_beams", "do_sample", "until", "seed"})


def build_generation(
    values: Mapping[str, Any], *, seed: int | None = None, where: str = "generation_kwargs"
) -> Generation:
    """Build generation settings.

    Args:
        values: Names as lmms-eval's YAMLs use them; names that the harness does not know are kept as `extra`.
        seed: Used unless `values` has one.
        where: For errors.

    Raises:
        TaskError: A value of the wrong type, or one that no model can follow.
    """
    known: dict[str, Any] = {"seed": seed}
    extra: dict[str, Any] = {}
    for key, value in values.items():
        name = _SAME_MEANING.get(key, key)
        if name not in _KNOWN:
            extra[name] = value
        elif value is not None:
            known[name] = value
    until = known.get("until", ())
    until = (until,) if isinstance(until, str) else until
    try:
        known["until"] = tuple(str(u) for u in until)
        for name in ("temperature", "top_p"):
            if name in known:
                known[name] = float(known[name])
                if not 0 <= known[name] < float("inf"):
                    raise ValueError(f"{name} is {known[name]:g}, not a number from 0")
        for name in ("max_new_tokens", "top_k", "num_beams"):
            if name in known:
                known[name] = _whole(name, known[name])
        if known.get("max_new_tokens", 1) < 1:
            raise ValueError(f"max_new_tokens is {known['max_new_tokens']}, not 1 or more")
    except (TypeError, ValueError, OverflowError) as e:
        raise TaskError(explain(f"generation settings {dict(values)!r}: {e}", where=where)) from e
    return Generation(**known, extra=extra)


def _whole(name: str, value: Any) -> int:
    found = int(value)
    if isinstance(value, float) and found != value:
        raise ValueError(f"{name} is {value}, not a whole number")
    return found
