"""Arguments of models: from the text that users type to values, and their names against a constructor."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_lmms.errors import UsageError, did_you_mean, explain
from pytest_lmms.masks import MASK, is_secret, mask_text

_PAIRS = {"'": "'", '"': '"'}
_OPENING = {"(": ")", "[": "]", "{": "}"}


def check_model_args(cls: type, args: Mapping[str, Any], *, model_name: str, where: str = "--lmms-model-args") -> None:
    """Check the names of model arguments against a constructor, before anything is loaded.

    Args:
        cls: The adapter's class. A constructor with ``**kwargs`` takes every name.
        args: What the user typed.
        model_name: The name the user typed, for the message.
        where: Where the user typed the arguments, for the message.

    Raises:
        UsageError: A name is unknown, or a required argument is missing.
    """
    parameters = list(inspect.signature(cls).parameters.values())
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    named = {
        p.name: p
        for p in parameters
        if p.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    }
    unknown = [name for name in args if name not in named]
    if unknown and not takes_any:
        name = unknown[0]
        replacement = getattr(cls, "removed_arguments", {}).get(name)
        if replacement is not None:
            raise UsageError(
                explain(f"the model {model_name!r} has no argument {name!r}", where=where, remedy=f"use: {replacement}")
            )
        raise UsageError(
            explain(
                f"the model {model_name!r} has no argument {name!r}",
                where=where,
                expected=f"one of: {', '.join(named) or '(none)'}",
                suggestion=_closest_argument(name, named),
            )
        )
    required = [n for n, p in named.items() if p.default is inspect.Parameter.empty]
    missing = [name for name in required if name not in args]
    if missing:
        raise UsageError(
            explain(
                f"the model {model_name!r} needs the argument {missing[0]!r}",
                where=where,
                remedy=f"add: {where} {missing[0]}=...",
            )
        )


def _closest_argument(name: str, known: Iterable[str]) -> str | None:
    """Find the name that was meant: the same words in another order, else the closest spelling."""
    known = list(known)
    words = set(name.split("_"))
    moved = [candidate for candidate in known if set(candidate.split("_")) == words]
    return moved[0] if moved else did_you_mean(name, known)


def parse_model_args(text: str, *, where: str = "--lmms-model-args") -> dict[str, Any]:
    """Parse ``key=value,key=value``.

    Commas inside quotes, braces, brackets and parentheses separate nothing. Values: ``true`` and
    ``false`` in any case become bool; whole numbers int; other numbers float; ``None`` and
    ``none`` None; JSON lists and mappings are parsed; quotes around a value are removed and keep
    it a string; the rest is a string.

    Differences from lmms-eval, which people's command lines may have relied on: there ``-1``
    becomes the float
    -1.0, ``None`` stays the string ``"None"``, quotes stay part of the value, JSON stays a string,
    and a part without ``=`` is dropped; here that is an error.

    Args:
        text: What the user typed; an empty text gives no arguments.
        where: Where it was typed, for messages.

    Raises:
        UsageError: A part has no ``=`` or no name, a name comes twice, or a quote or bracket is
            left open.
    """
    arguments: dict[str, Any] = {}
    for part in _split(text, where):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(
                explain(
                    f"cannot read {_shown(part.strip(), [*arguments])!r}",
                    where=where,
                    expected="name=value, separated by commas",
                    remedy="put a value that holds a comma into quotes",
                )
            )
        if name in arguments:
            raise UsageError(explain(f"the argument {name!r} is given twice", where=where))
        arguments[name] = convert_value(value.strip())
    return arguments


def _shown(part: str, names: list[str]) -> str:
    """A part that cannot be read, without a secret: `api_key: ...`, or what follows a comma in `api_key=...,...`."""
    follows = bool(names) and is_secret(names[-1])
    return MASK if follows or is_secret(part) else mask_text(part)


def convert_value(text: str) -> Any:
    """Turn the text of one value into what it says; see `parse_model_args`."""
    if len(text) > 1 and text[0] in _PAIRS and text[-1] == text[0]:
        return text[1:-1]
    constants = {"true": True, "false": False, "none": None}
    if text.lower() in constants and text != "NONE":
        return constants[text.lower()]
    # Python would read 1_000 as a number; a name like 2024_11 is none.
    readers = (json.loads,) if text[:1] in ("[", "{") else () if "_" in text else (int, float)
    for read in readers:
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _split(text: str, where: str) -> list[str]:
    """Split at the commas that lie outside of quotes and brackets; drop empty parts."""
    parts: list[str] = []
    current: list[str] = []
    closing: list[str] = []
    previous = ","
    for character in text:
        inside_quotes = bool(closing) and closing[-1] in _PAIRS
        if closing and character == closing[-1]:
            closing.pop()
        elif inside_quotes:
            pass
        elif character in _PAIRS and (closing or previous in "=,"):
            closing.append(character)  # An apostrophe inside a word opens no quote.
        elif character in _OPENING:
            closing.append(_OPENING[character])
        if character == "," and not closing:
            parts.append("".join(current))
            current = []
        else:
            current.append(character)
        if not character.isspace():
            previous = character
    if closing:
        raise UsageError(explain(f"a {closing[-1]} is missing in {mask_text(text)!r}", where=where))
    parts.append("".join(current))
    return [part for part in parts if part.strip()]
