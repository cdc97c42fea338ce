"""Secrets, known by the names that they stand under, and what is shown in their place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD")
MASK = "********"


def is_secret(name: str) -> bool:
    """Whether a name of a variable or argument says that its value is a secret."""
    upper = name.upper()
    return any(s in upper for s in SECRET_NAMES) and not upper.endswith("TOKENS")


def mask(value: Any) -> Any:
    """A copy without secrets: texts under a secret's name, unless they only name a variable; passwords in addresses."""
    if isinstance(value, Mapping):
        return {k: MASK if is_secret(str(k)) and _says(v) else mask(v) for k, v in value.items()}
    if isinstance(value, list):
        return [mask(v) for v in value]
    return mask_addresses(value) if isinstance(value, str) else value


def mask_addresses(text: str) -> str:
    """A text without the names and passwords of `https://name:password@host`."""
    return re.sub(r"(?<=://)[^/@\s:]*:[^/@\s]+(?=@)", MASK, text)


def _says(value: Any) -> bool:
    """Whether a value tells something by itself; `${HF_TOKEN}` does not, `${HF_TOKEN:-hf_...}` does."""
    return isinstance(value, str) and bool(value) and not re.fullmatch(r"\$\{[A-Za-z_]\w*\}", value)
