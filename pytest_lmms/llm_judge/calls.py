"""Who answers what task files ask judges: models like any other, one engine for each, which keep their replies.

While a document is scored, everything that its code asks is collected: verdicts for its record, and failures, so that a
function that catches them and says 0 gives no score.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_lmms.errors import LmmsError, UsageError, explain
from pytest_lmms.inference.engine import Engine
from pytest_lmms.judging import ask_blocking
from pytest_lmms.records import Request, Response
from pytest_lmms.registry import MODELS

API_TYPES = {
    "openai": "openai", "async_openai": "async_openai", "azure": "azure_openai", "async_azure": "azure_openai",
    "dummy": "dummy", "local": "openai",
}  # fmt: skip
"""lmms-eval's judges, by API_TYPE, and the models that they are here."""
_AZURE_VERSION = "2024-02-15-preview"
"""What lmms-eval asks Azure for where API_VERSION is not set."""


def unsaid_arguments(api_type: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """What lmms-eval takes for granted of a judge where the environment does not say it."""
    is_said = any(environ.get(name) for name in ("OPENAI_API_VERSION", "API_VERSION"))
    return {"api_version": _AZURE_VERSION} if API_TYPES[api_type] == "azure_openai" and not is_said else {}


@dataclass
class Calls:
    """What one document's scoring asked of judges."""

    verdicts: list[dict[str, Any]] = field(default_factory=list)
    failures: list[LmmsError] = field(default_factory=list)


_collected: contextvars.ContextVar[Calls | None] = contextvars.ContextVar("judge_calls", default=None)
Opened = tuple[str, Engine]
"""A judge as records name it, and its started engine."""


def _open(name: str, adapter: str, arguments: Mapping[str, Any]) -> Opened:
    engine = Engine(MODELS.load(adapter)(**arguments))
    engine.start()
    atexit.register(engine.close)
    return name, engine


class Panel:
    """The judges of this process, opened when first asked."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()
        self._opened: dict[str, Opened] = {}
        self.open: Callable[[str, str, Mapping[str, Any]], Opened] = _open
        """Opens one of (name, adapter, arguments)."""
        self.chosen: Opened | None = None
        """Asked whatever task files name: the user's `--lmms-judge`."""

    def ask(self, name: str, adapter: str, arguments: Mapping[str, Any], request: Request) -> tuple[str, Response]:
        """Ask, wait, and note what came.

        Returns:
            The judge's name, and what it said.

        Raises:
            LmmsError: It cannot be opened, failed, or its provider refused.
            UnansweredError: The run was stopped first.
        """
        calls = _collected.get()
        try:
            judge, engine = self.chosen or self._find(name, adapter, arguments)
            response = ask_blocking(engine, request)
            if response.finish_reason == "filtered":
                raise LmmsError(explain("the judge's provider refused", where=judge))
        except LmmsError as e:
            if calls is not None:
                calls.failures.append(e)
            raise
        if calls is not None:
            calls.verdicts.append({
                "judge": judge, "text": response.text, "input_tokens": response.tokens.input_tokens,
                "output_tokens": response.tokens.output_tokens,
            })  # fmt: skip
        return judge, response

    def _find(self, name: str, adapter: str, arguments: Mapping[str, Any]) -> Opened:
        key = f"{name} {sorted(arguments.items())}"
        with self._lock:
            if key not in self._opened:
                self._opened[key] = self.open(name, adapter, arguments)
            return self._opened[key]

    def stop(self) -> None:
        """Ask nothing more. From any thread."""
        for _, engine in list(self._opened.values()):
            engine.stop()

    def close(self) -> None:
        """End every engine that was opened here, and forget who was chosen."""
        with self._lock:
            for _, engine in self._opened.values():
                engine.close()
            self._opened.clear()
            self.chosen, self.open = None, _open


PANEL = Panel()


@contextlib.contextmanager
def collected() -> Iterator[Calls]:
    """Collect what this thread asks of judges."""
    calls = Calls()
    token = _collected.set(calls)
    try:
        yield calls
    finally:
        _collected.reset(token)


def check(api_type: str, arguments: Mapping[str, Any]) -> str:
    """Tell whether such a judge could be asked, without asking; return its adapter.

    Raises:
        UsageError: An unknown kind, or a key or an address is missing.
    """
    if api_type not in API_TYPES:
        expected = "one of " + ", ".join(API_TYPES)
        raise UsageError(explain(f"a judge of kind {api_type!r}", where="API_TYPE", expected=expected))
    adapter = API_TYPES[api_type]
    if adapter != "dummy" and PANEL.chosen is None:
        MODELS.load(adapter)(**arguments)
    return adapter
