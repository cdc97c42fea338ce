"""Secrets, known by the names that they stand under, and what is shown in their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

SECRET_NAMES = (
    "KEY", "TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "CREDENTIAL", "CREDENTIALS", "AUTHORIZATION", "COOKIE",
)  # fmt: skip
"""How a word of a secret's name ends; `max_tokens`, `tokenizer` and `keyword` have no such word."""
HEADERS = "HEADERS"
"""How a name ends under which every value may be a secret: gateways choose the names of their headers freely."""
MASK = "********"
SHORTEST_SECRET = 6
"""Shorter values are looked for nowhere else: they may be part of anything."""
_SIGNATURES = frozenset({"sig", "signature", "auth", "code"})
"""Further names that secrets have in the query of an address."""
_USER = re.compile(r"(?<=://)[^/?#,\s'\"]*(?=@)")
_QUERY = re.compile(r"(?<=[?&])([\w.~%-]+)=([^&#\s,;'\"]*)")
_PAIR = re.compile(r"(?<![\w-])([A-Za-z_][\w-]*)=([^,\s&;]+)")
_MEMBER = re.compile(r"""(["'])([A-Za-z_][\w-]*)\1(\s*:\s*)(["'])(.*?)\4""", re.DOTALL)
_SHORTEST_TOKEN = 16
"""A user without a password, in an address, that is so long is a token: `https://ghp_...@host`."""


def is_secret(name: str) -> bool:
    """Whether a name of a variable or argument says that its value is a secret."""
    words = re.split(r"[^A-Z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper())
    return any(word.endswith(SECRET_NAMES) for word in words)


def mask(value: Any) -> Any:
    """A copy without secrets.

    Hidden are texts under a secret's name, unless they only name a variable; all headers; passwords and keys in
    addresses; values in texts like `model=m,api_key=...`.
    """
    if isinstance(value, Mapping):
        return {k: _masked_member(str(k), v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask(v) for v in value]
    return mask_text(value) if isinstance(value, str) else value


def mask_addresses(text: str) -> str:
    """A text without the names and passwords of `https://name:password@host`, and without keys in a query."""
    if "://" not in text:
        return text

    def hide(match: re.Match[str]) -> str:
        return f"{match[1]}={MASK}" if _is_secret_of_query(match[1]) and _says(match[2]) else match[0]

    return _QUERY.sub(hide, _USER.sub(lambda user: MASK if _password_of(user[0]) else user[0], text))


def mask_text(text: str) -> str:
    """`mask_addresses`, and the values of secret names in `name=value,name=value` and in JSON, whole or not."""

    def hide(match: re.Match[str]) -> str:
        return f"{match[1]}={MASK}" if is_secret(match[1]) and _says(match[2]) else match[0]

    def hide_inner(match: re.Match[str]) -> str:
        return hide(match) if is_secret(match[1]) else f"{match[1]}={_PAIR.sub(hide, match[2])}"

    def hide_member(match: re.Match[str]) -> str:
        is_told = not (is_secret(match[2]) and _says(match[5]))
        return match[0] if is_told else f"{match[1]}{match[2]}{match[1]}{match[3]}{match[4]}{MASK}{match[4]}"

    return _MEMBER.sub(hide_member, _PAIR.sub(hide_inner, mask_addresses(text)))


class Secrets:
    """Values that must not be shown, wherever they turn up."""

    def __init__(self, values: Iterable[str]) -> None:
        """Take secrets; those shorter than `SHORTEST_SECRET` are left out, and so are masks and bare variables."""
        kept = {v for v in values if len(v) >= SHORTEST_SECRET and v != MASK and _says(v)}
        kept |= {quote(v, safe="") for v in kept} | {repr(v)[1:-1] for v in kept}
        longest_first = sorted(kept, key=lambda v: (-len(v), v))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if kept else None

    def hide(self, text: str) -> str:
        """The text with every secret masked."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)


def secrets_of(environ: Mapping[str, str], *settings: Any) -> Secrets:
    """The secrets that an environment and settings hold: what `mask` would hide of them."""
    return Secrets([*secrets_in(dict(environ)), *(s for value in settings for s in secrets_in(value))])


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """The texts of a value that `mask` hides."""
    if isinstance(value, Mapping):
        everything = name.upper().endswith(HEADERS)
        for key, each in value.items():
            if isinstance(each, str) and (everything or is_secret(str(key))):
                yield each
                yield each.rpartition(" ")[2]  # of `Bearer KEY`
            else:
                yield from secrets_in(each, str(key))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from secrets_in(each)
    elif isinstance(value, str):
        yield from _secrets_in_text(value)


def _secrets_in_text(text: str) -> Iterator[str]:
    if "://" in text:
        for user in _USER.findall(text):
            password = _password_of(user)
            yield from (password, unquote(password))
        yield from (
            v for name, value in _QUERY.findall(text) if _is_secret_of_query(name) for v in (value, unquote(value))
        )
    for name, value in _PAIR.findall(text):  # with those of `-o lmms_model_args=api_key=...`
        yield from (v for n, v in [(name, value), *_PAIR.findall(value)] if is_secret(n))
    yield from (match[5] for match in _MEMBER.finditer(text) if is_secret(match[2]))


def _password_of(user: str) -> str:
    """What is secret of the part of an address before its `@`; empty for a mere name."""
    name, _, password = user.partition(":")
    return password or (name if len(name) >= _SHORTEST_TOKEN else "")


def _masked_member(name: str, value: Any) -> Any:
    if isinstance(value, Mapping) and name.upper().endswith(HEADERS):
        return {k: MASK if _says(v) else mask(v) for k, v in value.items()}
    return MASK if is_secret(name) and _says(value) else mask(value)


def _is_secret_of_query(name: str) -> bool:
    return is_secret(name) or name.lower() in _SIGNATURES


def _says(value: Any) -> bool:
    """Whether a value tells something by itself; `${HF_TOKEN}` and numbers do not, `${HF_TOKEN:-hf_...}` does."""
    return isinstance(value, str) and re.fullmatch(r"|\$\{[A-Za-z_]\w*\}|\d{1,5}(\.\d*)?", value) is None
