"""Arguments of a tool call against the tool's schema: what models get wrong, said in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "array": (list,),
    "object": (dict,), "null": (type(None),),
}  # fmt: skip

_WORDS = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "exclusiveMaximum": "less than"}


def schema_of(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the JSON schema of a document's tool: its `parameters`, a mapping or JSON; empty without any."""
    schema = tool.get("parameters")
    if isinstance(schema, str):
        schema = json.loads(schema)
    return schema if isinstance(schema, Mapping) else {}


def complaint(arguments: Any, schema: Mapping[str, Any]) -> str | None:
    """Say what is wrong with arguments, in one line; None when nothing is.

    Checks what models get wrong: an object, with every required key, none that is unknown where the schema says so,
    of the right type, from the listed values, a number within its bounds. Nested objects are left to the tool.
    """
    if not isinstance(arguments, Mapping):
        return f"the arguments are {type(arguments).__name__}, expected an object"
    known: Mapping[str, Any] = schema.get("properties") or {}
    missing = [name for name in schema.get("required") or () if name not in arguments]
    if missing:
        return f"missing: {', '.join(missing)}"
    if schema.get("additionalProperties") is False and (unknown := sorted(set(arguments) - set(known))):
        return f"unknown: {', '.join(unknown)}; expected: {', '.join(known)}"
    for name, value in arguments.items():
        rule = known.get(name)
        if not isinstance(rule, Mapping):
            continue
        types = rule.get("type")
        names = [types] if isinstance(types, str) else list(types or ())
        if names and not any(_is_of(value, each) for each in names):
            return f"{name} is {value!r:.80}, expected {' or '.join(names)}"
        if "enum" in rule and value not in rule["enum"]:
            return f"{name} is {value!r:.80}, expected one of {rule['enum']}"
        if outside := _outside(value, rule):
            return f"{name} is {value!r:.80}, expected {outside}"
    return None


def _outside(value: Any, rule: Mapping[str, Any]) -> str | None:
    """Which bound of a rule a number breaks."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    broken = {
        "minimum": lambda bound: not value >= bound, "exclusiveMinimum": lambda bound: not value > bound,
        "maximum": lambda bound: not value <= bound, "exclusiveMaximum": lambda bound: not value < bound,
    }  # fmt: skip
    bounds = ((word, rule.get(word)) for word in broken)
    numbers = (
        (word, bound) for word, bound in bounds if isinstance(bound, (int, float)) and not isinstance(bound, bool)
    )
    return next((f"{_WORDS[word]} {bound}" for word, bound in numbers if broken[word](bound)), None)


def _is_of(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()  # JSON has one kind of number: 5.0 is whole
    return isinstance(value, _TYPES.get(name, (object,)))
