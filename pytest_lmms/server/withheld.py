"""Secrets of a request: taken out of what is written down, and kept aside by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.masks import MASK, holds_secrets, mask
from pytest_lmms.variables import variables_in


def without_secrets(value: Any, secrets: dict[str, str], name: str = "") -> Any:
    """A copy in which a text that holds a secret is a variable."""
    if isinstance(value, Mapping):
        return {k: without_secrets(v, secrets, name if holds_secrets(name) else str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [without_secrets(v, secrets, name) for v in value]
    is_secret = value == MASK or mask(value, name) != value
    return as_variable(name, str(value), secrets) if is_secret else value


def as_variable(name: str, text: str, secrets: dict[str, str]) -> str:
    """`${NAME}` for a secret, which is kept in `secrets`; a text with a variable stays.

    Raises:
        UsageError: It is masked: a page or an answer was sent back.
    """
    if text == MASK:
        raise UsageError(
            explain(f"{name} is masked", where="the request", expected="the secret, or ${" + name.upper() + "}")
        )
    if next(iter(variables_in(text)), None) is not None:
        return text
    variable = re.sub(r"\W", "_", name.upper())
    if secrets.get(variable, text) != text:
        variable = f"{variable}_{len(secrets)}"
    secrets[variable] = text
    return "${" + variable + "}"
