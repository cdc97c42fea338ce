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
        TaskError: A value of the wrong type.
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
        for name in ("max_new_tokens", "top_k", "num_beams"):
            if name in known:
                known[name] = int(known[name])
    except (TypeError, ValueError) as e:
        raise TaskError(explain(f"generation settings {dict(values)!r}: {e}", where=where)) from e
    return Generation(**known, extra=extra)
