"""Secrets, known by the names that they stand under, and what is shown in their place."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from operator import eq
from typing import Any
from urllib.parse import quote, quote_plus, unquote

SECRET_NAMES = (
    "KEY", "KEYS", "TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS",
    "AUTHORIZATION", "COOKIE", "COOKIES",
)  # fmt: skip
"""How a word of a secret's name ends, digits left out; `max_tokens`, `tokenizer` and `keyword` have no such word."""
LAST_WORDS = frozenset({"AUTH", "PASS", "PAT", "JWT", "BEARER"})
"""Words that make a secret of a name which ends in them, and which are part of many others."""
HEADERS = "HEADERS"
"""How a name ends under which every value may be a secret: gateways choose the names of their headers freely."""
MASK = "********"
SHORTEST_SECRET = 6
"""Shorter values are looked for nowhere else: they may be part of anything."""
_SIGNATURES = frozenset({"sig", "signature", "auth", "code", "k", "pw", "pwd"})
"""Further names that secrets have in the query of an address."""
_USER = re.compile(r"(?<=://)[^/?#,\s'\"]*(?=@)")
_SCHEME = re.compile(r"[\w+.-]+://")
_USER_OF_ALL = re.compile(r"(?<=://)([^/?#\s]*)@[^@/?#\s]*(?:[/?#]\S*)?")
"""Of a text that is an address and nothing else: its password may have commas and quotes."""
_QUERY = re.compile(r"(?<=[?&])([\w.~%-]+)=([^&#\s,;'\"]*)")
_PAIR = re.compile(r"(?<![\w-])([A-Za-z_][\w-]*)=([^,\s&;]+)")
_MEMBER = re.compile(r"""(["'])([A-Za-z_][\w-]*)\1(\s*:\s*)(["'])(.*?)\4""", re.DOTALL)
_SHORTEST_TOKEN = 16
"""A user without a password, in an address, that is so long is a token: `https://ghp_...@host`."""
_END = 12
"""So many characters at either end of a long secret give it away: a text may have been cut in the middle of it."""
_LONG = 20


def is_secret(name: str) -> bool:
    """Whether a name of a variable or argument says that its value is a secret."""
    words = re.split(r"[^A-Z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper())
    words = [word.rstrip("0123456789") for word in words]
    return any(word.endswith(SECRET_NAMES) for word in words) or words[-1] in LAST_WORDS


def holds_secrets(name: str) -> bool:
    """Whether every text under a name, however deep, may be a secret."""
    return is_secret(name) or name.upper().endswith(HEADERS)


def mask(value: Any, name: str = "") -> Any:
    """A copy without secrets.

    Hidden are texts and long numbers under a secret's name, however deep, unless they only name a variable; all
    headers; passwords and keys in addresses; values in texts like `model=m,api_key=...`, and in JSON.

    Args:
        value: Plain values.
        name: What they stand under.
    """
    if holds_secrets(name) and not isinstance(value, (Mapping, list, tuple)):
        return MASK if _says(value) else value
    if isinstance(value, Mapping):
        return {k: mask(v, name if holds_secrets(name) else str(k)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask(v, name) for v in value]
    if not isinstance(value, str):
        return value
    if _is_bare_proxy(name, value):
        return mask_addresses(f"://{value}").removeprefix("://")
    return mask_text(value)


def mask_addresses(text: str) -> str:
    """A text without the names and passwords of `https://name:password@host`, and without keys in a query."""
    if "://" not in text:
        return text

    def hide(match: re.Match[str]) -> str:
        return f"{match[1]}={MASK}" if _is_secret_of_query(match[1]) and _says(match[2]) else match[0]

    scheme = _SCHEME.match(text)
    all_of_it = _USER_OF_ALL.fullmatch(text, scheme.end()) if scheme else None
    if all_of_it and _password_of(all_of_it[1]):
        text = f"{text[: all_of_it.start(1)]}{MASK}{text[all_of_it.end(1) :]}"
    return _QUERY.sub(hide, _USER.sub(lambda user: MASK if _password_of(user[0]) else user[0], text))


def mask_text(text: str) -> str:
    """`mask_addresses`, and the values of secret names in `name=value,name=value` and in JSON, whole or not."""
    if (members := _members_of(text)) is not None:
        return json.dumps(masked, ensure_ascii=False) if (masked := mask(members)) != members else text

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
        kept |= {line for v in kept for line in map(str.strip, v.splitlines()) if len(line) >= SHORTEST_SECRET}
        written = {form for v in kept for form in _ways_to_write(v)}
        longest_first = sorted(written, key=lambda v: (-len(v), v))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if written else None
        self._long = [v for v in longest_first if _has_ends(v)]

    def hide(self, text: str) -> str:
        """The text with every secret masked, and what is left of one that was cut."""
        if self._pattern is None:
            return text
        text = self._pattern.sub(MASK, text)
        for secret in self._long:
            if secret[:_END] in text:
                text = _without_start(text, secret)
            if secret[-_END:] in text:
                text = _without_start(text[::-1], secret[::-1])[::-1]
        return text


def _ways_to_write(secret: str) -> Iterator[str]:
    """A secret as it is, in Python, JSON, HTML and addresses."""
    yield secret
    yield repr(secret)[1:-1]
    yield from (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    yield from (html.escape(secret, quote=quotes) for quotes in (True, False))
    yield from (quote(secret, safe=""), quote(secret), quote_plus(secret))


def _has_ends(secret: str) -> bool:
    """Whether the ends of a secret are as telling as all of it: those of paths, addresses and words are not."""
    is_other = re.match(r"[/~.]|\S*://", secret) or re.search(r"\s", secret) or not re.search(r"\d", secret)
    return len(secret) >= _LONG and not is_other


def _without_start(text: str, secret: str) -> str:
    """A text without any first part of a secret that has `_END` characters or more."""
    place = text.find(secret[:_END])
    while place >= 0:
        length = len(list(takewhile(bool, map(eq, text[place : place + len(secret)], secret))))
        text = f"{text[:place]}{MASK}{text[place + length :]}"
        place = text.find(secret[:_END], place + len(MASK))
    return text


def secrets_of(environ: Mapping[str, str], *settings: Any) -> Secrets:
    """The secrets that an environment and settings hold: what `mask` would hide of them."""
    return Secrets([*secrets_in(dict(environ)), *(s for value in settings for s in secrets_in(value))])


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """The texts of a value that `mask` hides."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from secrets_in(each, name if holds_secrets(name) else str(key))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from secrets_in(each, name)
    elif holds_secrets(name):
        if _says(value):
            yield from _secrets_under_a_name(str(value))
    elif isinstance(value, str):
        yield from _secrets_in_text(f"://{value}" if _is_bare_proxy(name, value) else value)


def _secrets_under_a_name(text: str) -> Iterator[str]:
    """A secret, and what of it is one: `Bearer KEY`, `session=KEY; a=b`, JSON."""
    yield text
    yield text.rpartition(" ")[2]
    yield from (value for _, value in _PAIR.findall(text))
    if (members := _members_of(text)) is not None:
        yield from secrets_in(members)


def _secrets_in_text(text: str) -> Iterator[str]:
    if (members := _members_of(text)) is not None:
        yield from secrets_in(members)
    if "://" in text:
        for user in {*_USER.findall(text), *_USER_OF_ALL.findall(text)}:
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


def _members_of(text: str) -> Mapping[str, Any] | None:
    """The mapping that a text is in JSON."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, Mapping) else None


def _is_bare_proxy(name: str, text: str) -> bool:
    """Whether a text is an address without a scheme, as variables for proxies may hold."""
    return name.upper().endswith("PROXY") and "://" not in text


def _is_secret_of_query(name: str) -> bool:
    return is_secret(name) or name.lower() in _SIGNATURES


def _says(value: Any) -> bool:
    """Whether a value tells something by itself.

    `${HF_TOKEN}` does not, `${HF_TOKEN:-hf_...}` does; of numbers, those that are longer than any count of tokens.
    """
    if isinstance(value, int):
        return abs(value) >= 10**8
    return isinstance(value, str) and re.fullmatch(r"|\$\{[A-Za-z_]\w*\}|\d{1,5}(\.\d*)?", value) is None
