"""A worker of `-n`: what it has been given and not begun, and how it ends when it is told to."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_lmms.plugin.session import session_of


class WorkerQueue:
    """Which items this worker has been given and not yet begun."""

    def __init__(self, interactor: Any) -> None:
        self.interactor = interactor

    def upcoming(self) -> Iterator[int]:
        """Indices in order."""
        if isinstance(self.interactor.nextitem_index, int):
            yield self.interactor.nextitem_index
        with self.interactor.torun.lock() as items:
            waiting = [i for i in items if isinstance(i, int)]
        yield from waiting


class WorkerStop:
    """Ends a worker in good order when the controller, or the machine, sends a signal.

    The batch in hand may finish and is recorded; what is queued is given up. A worker that is still loading its model
    is interrupted. The controller hears of an ordinary end, so that it starts no replacement.
    """

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.is_asked = False
        self.reason = "stopped by a signal"
        # SIGINT reaches every process of a terminal's group; the controller decides what it means.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: Any) -> None:
        if self.is_asked and number == signal.SIGINT:
            return
        self.stop(self.reason)
        if not self._stop_engines():
            raise KeyboardInterrupt

    def stop(self, reason: str) -> None:
        """Begin nothing more. From any thread."""
        self.is_asked = True
        self.reason = reason
        self.session.shouldstop = reason

    def _stop_engines(self) -> bool:
        """Let running engines send nothing more; False when there are none."""
        from pytest_lmms.plugin.run_document import known_runner

        runner = known_runner(self.session.config)
        if runner is None or not runner.lines:
            return False
        runner.stop()
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Begin nothing after a signal."""
        return True if self.is_asked else None

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the controller of an end, not of an interruption; that would make it start a replacement."""
        if self.is_asked:
            output: dict[str, Any] = session.config.workeroutput  # type: ignore[attr-defined]
            output["exitstatus"] = int(pytest.ExitCode.TESTS_FAILED)
            output["shouldstop"] = self.reason


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """In a worker, find the queue that xdist fills, and take signals."""
    manager = session.config.pluginmanager
    if not session_of(session.config).is_worker:
        return
    with contextlib.suppress(ValueError):  # not the main thread
        manager.register(WorkerStop(session), "lmms-worker-stop")
    for plugin in manager.get_plugins():
        if hasattr(plugin, "torun") and hasattr(plugin, "nextitem_index"):
            manager.register(WorkerQueue(plugin), "lmms-worker-queue")
            return
