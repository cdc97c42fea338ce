"""Variables of the environment in a config file: `${VAR}` filled in, a process's own changed and put back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.masks import MASK, is_secret, mask_addresses

_VARIABLE = re.compile(r"\$\$(?=\{)|\$\{([A-Za-z_]\w*)(?::-((?:[^{}]|\{[^{}]*\})*))?\}|\$\{")


def fill(text: str, known: Mapping[str, str], *, where: str) -> str:
    """Replace `${VAR}` and `${VAR:-default}`; `$${` stands for `${`.

    The default is taken when the variable is not set, or empty; it may use variables itself.

    Raises:
        UsageError: A variable that is not set and has no default, or a `${` that is never closed.
    """

    def replacement(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if match[0] == "$$":
            return "$"
        if name is None:
            raise UsageError(explain(f"{text!r} has a ${{ that names no variable", where=where, expected="${NAME}"))
        if default is not None:
            return known.get(name) or fill(default, known, where=where)
        if name not in known:
            raise UsageError(
                explain(
                    f"the variable {name} is not set",
                    where=where,
                    remedy=f"export {name}=..., or write a default: ${{{name}:-...}}",
                )
            )
        return known[name]

    return _VARIABLE.sub(replacement, text)


def fill_all(value: Any, known: Mapping[str, str], *, where: str) -> Any:
    """`fill` every text of a value."""
    if isinstance(value, str):
        return fill(value, known, where=where)
    if isinstance(value, Mapping):
        return {k: fill_all(v, known, where=where) for k, v in value.items()}
    return [fill_all(v, known, where=where) for v in value] if isinstance(value, list) else value


def variables_in(value: Any) -> Iterator[str]:
    """Names of the variables that a value uses."""
    if isinstance(value, str):
        for match in _VARIABLE.finditer(value):
            if match[1]:
                yield match[1]
            yield from variables_in(match[2])
    elif isinstance(value, (Mapping, list)):
        for v in value.values() if isinstance(value, Mapping) else value:
            yield from variables_in(v)


def shown(written: Mapping[str, str], filled: Mapping[str, str]) -> dict[str, str]:
    """Variables for the eyes: filled in, secrets and what was made of secrets masked."""
    return {
        name: MASK
        if value and (is_secret(name) or any(map(is_secret, variables_in(written[name]))))
        else mask_addresses(value)
        for name, value in filled.items()
    }


class Applied:
    """Variables of a process that were changed, and can be put back."""

    def __init__(self, changes: Mapping[str, str]) -> None:
        self._before = {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)

    def restore(self) -> None:
        """Put every variable back."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
