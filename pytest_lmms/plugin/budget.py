"""`--lmms-max-tokens` and `--lmms-max-requests`: the run stops in good order when it has spent enough."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pytest_lmms.plugin.session import LmmsSession, session_of
from pytest_lmms.records import Response

FILE = "budget"
"""In the run folder, while the run goes on."""


class _Stop:
    """The pytest session that is to be stopped."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session

    def stop(self, reason: str) -> None:
        """Begin nothing more. From any thread."""
        self.session.shouldstop = reason


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Keep the session where a spent budget finds it, and begin a budget of one's own when a run is resumed."""
    session.config.pluginmanager.register(_Stop(session), "lmms-budget-stop")


def stop_of(session: LmmsSession) -> Callable[[str], None]:
    """What ends a run in good order, from any thread, with a reason; in a worker the other workers end too."""
    manager = session.config.pluginmanager
    found: Any = manager.get_plugin("lmms-worker-stop") or manager.get_plugin("lmms-budget-stop")
    stop: Callable[[str], None] = found.stop
    return stop


def budget_of(session: LmmsSession) -> Callable[[Sequence[Response]], bool] | None:
    """What an engine calls with its responses; None without a budget."""
    from pytest_lmms.inference.budget import Budget

    settings = session.settings
    if settings.max_tokens is None and settings.max_requests is None:
        return None
    budget = Budget(session.run_path / FILE, max_tokens=settings.max_tokens, max_requests=settings.max_requests)
    stop = stop_of(session)

    def spend(responses: Sequence[Response]) -> bool:
        if not session.run_path.is_dir():
            session.run_path.mkdir(parents=True, exist_ok=True)
        is_left = budget.spend(responses)
        if budget.reason is not None:
            stop(budget.reason)
        return is_left

    return spend


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """A run that goes on has its whole budget before it."""
    state = session_of(session.config)
    if not state.is_worker and state.is_resumed:
        (state.run_path / FILE).unlink(missing_ok=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take the file away."""
    state = session_of(session.config)
    if not state.is_worker and state._run_path is not None:
        with contextlib.suppress(OSError):  # it is in nobody's way
            (state.run_path / FILE).unlink()
