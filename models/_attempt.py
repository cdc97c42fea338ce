"""Small parts of asking a remote model: its key, its name, its address, and the clock of one attempt."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.inference.retry import Deadline
from pytest_lmms.records import Timing, TokenCounts


class Secret:
    """Holds a key without showing it in tracebacks and logs."""

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"


class Clock:
    """When one attempt began and when the model spoke, in seconds of `time.perf_counter`."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.first: float | None = None
        self.last: float | None = None
        self.deadline: Deadline | None = None
        self._timeout: float | None = None

    def limit(self, deadline: Deadline, timeout: float) -> None:
        """Give the whole answer `timeout` seconds once its first token is there."""
        self.deadline, self._timeout = deadline, timeout

    def spoke(self) -> None:
        """Note that something was said just now."""
        self.last = time.perf_counter()
        if self.first is None:
            self.first = self.last
            if self.deadline is not None and self._timeout is not None:
                self.deadline.move(self._timeout - (self.first - self.started))

    def timing(self, tokens: TokenCounts) -> Timing:
        """What this client saw; TTFT and TPOT only when the answer came in pieces."""
        per_token = None
        if self.first is not None and self.last is not None and (tokens.output_tokens or 0) > 1:
            per_token = (self.last - self.first) / (tokens.output_tokens - 1)  # type: ignore[operator]
        return Timing(
            seconds=time.perf_counter() - self.started,
            first_token_seconds=None if self.first is None else self.first - self.started,
            seconds_per_token=per_token,
            source="client",
        )


def one_name(said: Mapping[str, str | None]) -> str:
    """The one name among synonyms.

    Raises:
        UsageError: There is none, or there are different ones.
    """
    names = {str(value) for value in said.values() if value}
    if len(names) != 1:
        given = ", ".join(f"{name}={value}" for name, value in said.items() if value)
        raise UsageError(
            explain(
                f"several model names: {given}" if names else "this model needs a name",
                where="model",
                expected="one of model, pretrained and model_version",
                remedy=None if names else "add: --lmms-model-args model=<name that the server knows>",
            )
        )
    return names.pop()


def address(url: str) -> str:
    """An address that clients can ask.

    Raises:
        UsageError: It is none; the message repeats no password.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", url)
        parts.port  # noqa: B018 - raises ValueError where it is none
    except ValueError:
        is_one = False
    if is_one:
        return url
    shown = url.rpartition("@")[2].partition("?")[0]
    raise UsageError(explain(f"{shown!r} is no address", where="base_url", expected="http://host:port/v1, or https"))


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """Names with their values; None is none of them.

    Raises:
        UsageError: It is something else.
    """
    if value is None or isinstance(value, Mapping):
        return value or {}
    raise UsageError(explain("no mapping", where=where, expected='names with their values: {"name": "value"}'))


def header(value: Any, where: str) -> str:
    """A text that an HTTP header can hold; blanks around it, such as a line end of the file that it came from, go.

    Raises:
        UsageError: It cannot be one; the message does not repeat it.
    """
    text = str(value).strip()
    if not (text.isascii() and text.isprintable()):
        what = "a character that no HTTP header can hold"
        raise UsageError(explain(what, where=where, expected="printable ASCII, on one line"))
    return text


def split_query(url: str) -> tuple[str, dict[str, str]]:
    """An address without its query, and the query: clients want them apart."""
    parts = urlsplit(url)
    return urlunsplit((*parts[:3], "", "")), dict(parse_qsl(parts.query))


def split_user(url: str) -> tuple[str, dict[str, str]]:
    """An address without ``user:password@``, and the header of HTTP's basic authentication that says the same."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    code = base64.b64encode(unquote(user).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {code}"}


def without_password(url: str) -> str:
    """Leave out ``user:password@`` and the query, which may hold keys."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
