"""What is printed while documents run: to a file, because many are in flight and a print belongs to none of them."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.plugin.items import DocumentItem
from pytest_lmms.plugin.session import is_verbose, session_of


class OthersAside:
    """A text stream for the main thread; what other threads write is put aside."""

    def __init__(self, stream: Any, aside: list[str]) -> None:
        self._stream = stream
        self._aside = aside

    def write(self, text: str) -> int:
        """Write, or put aside."""
        if threading.current_thread() is threading.main_thread():
            return int(self._stream.write(text))
        self._aside.append(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class PrintLog:
    """Sends what is printed while documents run to a file, through pytest's own capture.

    Capture is switched on with the first document and off with the last, or before an ordinary test; not once a
    document. Only while a report is shown is it off, because the terminal is written to through the same descriptor.
    """

    FLUSH_SECONDS = 1.0

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self.path = path
        self._secrets = session_of(config).secrets
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")
        self._is_wanted = self._capture is not None and self._capture.is_globally_capturing()
        self._has_terminal = config.pluginmanager.has_plugin("terminalreporter")
        self._is_verbose = is_verbose(config)
        self._is_on = False
        self._is_shown = False
        """Whether the terminal is being written to."""
        self._late: list[str] = []
        """What other threads printed while the terminal was written to."""
        self._flushed = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Switch on for a document on the short protocol, off for anything else."""
        if isinstance(item, DocumentItem):
            if self._is_wanted and not self._is_on:
                self._capture.resume_global_capture()
                self._is_on = True
            elif self._is_on and time.monotonic() - self._flushed > self.FLUSH_SECONDS:
                self.flush()
        elif self._is_on:
            self.off()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Iterator[None]:
        """Let the terminal be written to, for a report that it shows."""
        if report.passed and not self._is_verbose:
            return (yield)
        with self.uncaptured():
            return (yield)

    @contextlib.contextmanager
    def uncaptured(self) -> Iterator[None]:
        """Let this thread write to the terminal; what other threads print meanwhile goes to the file all the same."""
        if not self._is_on or not self._has_terminal or self._is_shown:
            yield
            return
        self._is_shown = True
        self._capture.suspend_global_capture()
        streams = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (OthersAside(s, self._late) for s in streams)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = streams
            self._capture.resume_global_capture()
            self._is_shown = False

    def off(self) -> None:
        """Stop capturing, and write down what there is."""
        if self._is_on:
            self._is_on = False
            self._capture.suspend_global_capture()
            self.flush()

    def flush(self) -> None:
        """Move what was printed so far to the file; where there is no room for it, the run goes on without."""
        self._flushed = time.monotonic()
        late, self._late[:] = list(self._late), []
        text = "".join((*self._capture.read_global_capture(), *late))
        if text:
            with contextlib.suppress(OSError):  # what cannot be done without, records and responses, tells it
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(self._secrets.hide(text))
