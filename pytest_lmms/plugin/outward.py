"""What leaves a session is fit to be seen: no secrets in reports and logs, no control characters of strangers.

Reports are changed where they are made, in the worker, so that terminal, JUnit and other plugins all get the same text.
Log records are changed before any handler sees them. Sessions without tasks are left alone.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Generator
from typing import Any

import pytest

from pytest_lmms.masks import Secrets
from pytest_lmms.plugin.items import DocumentItem
from pytest_lmms.plugin.paths import may_hold_tasks
from pytest_lmms.plugin.session import session_of
from pytest_lmms.printable import printable


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Watch what leaves a session that may hold tasks."""
    if session_of(config).is_worker or may_hold_tasks(config):
        config.pluginmanager.register(Outward(session_of(config).secrets), "lmms-outward")


class Outward:
    """Hides the secrets of one session."""

    def __init__(self, secrets: Secrets) -> None:
        self.secrets = secrets
        self._make_record = logging.getLogRecordFactory()
        logging.setLogRecordFactory(self._record)
        self._thread_failed = threading.excepthook
        threading.excepthook = self._tell_of_thread
        self._is_ignored = sys.unraisablehook
        sys.unraisablehook = self._tell_of_ignored

    def pytest_unconfigure(self) -> None:
        """Let log records be made, and errors of threads and finalizers told, as before."""
        if sys.unraisablehook == self._tell_of_ignored:
            sys.unraisablehook = self._is_ignored
        if threading.excepthook == self._tell_of_thread:
            threading.excepthook = self._thread_failed
        if logging.getLogRecordFactory() == self._record:
            logging.setLogRecordFactory(self._make_record)

    def _record(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make_record(*args, **kwargs)
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # wrong arguments: logging tells of it itself
            return record
        hidden = self.secrets.hide(text)
        if hidden != text:
            record.msg, record.args = hidden, ()
        if record.exc_info and record.exc_info[0] is not None:  # a formatter takes the text that it finds
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if self.secrets.hide(trace) != trace:
                record.exc_text = self.secrets.hide(trace)
        return record

    def _tell_of_thread(self, args: threading.ExceptHookArgs) -> None:
        """Hide secrets in an error that ended a thread, whoever tells of it, and however late."""
        if (shown := self._shown(args.exc_value)) is not None:
            args = threading.ExceptHookArgs((type(shown), shown, args.exc_traceback, args.thread))
        self._thread_failed(args)

    def _tell_of_ignored(self, args: sys.UnraisableHookArgs) -> None:
        """Hide secrets in an error of a finalizer, which Python tells of and ignores."""
        if (shown := self._shown(args.exc_value)) is not None:
            # Python offers no way to make these arguments but from all of them.
            values = (type(shown), shown, args.exc_traceback, args.err_msg, args.object)
            args = type(args)(values)  # type: ignore[call-arg]
        self._is_ignored(args)

    def _shown(self, error: BaseException | None) -> BaseException | None:
        """An error of the same name, place and text without the secrets of this one; None where it holds none."""
        hide = self.secrets.hide
        trace = "" if error is None else "".join(traceback.format_exception(error))
        if error is None or hide(trace) == trace:
            return None
        kind = type(type(error).__name__, (Exception,), {"__module__": type(error).__module__})
        shown: BaseException = kind(hide(str(error))).with_traceback(error.__traceback__)
        return shown

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Hide secrets in why a session was ended, in place: nobody asks for another."""
        error, hide = excinfo.value, self.secrets.hide
        error.args = tuple(hide(each) if isinstance(each, str) else each for each in error.args)
        if isinstance(error, pytest.exit.Exception):
            error.msg = hide(error.msg)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Hide secrets in the report of a document or test; a document's controls are a stranger's."""
        report = yield
        self._clean(report, is_document=isinstance(item, DocumentItem))
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self) -> Generator[None, Any, Any]:
        """Hide secrets in what went wrong while collecting."""
        report = yield
        if report.failed:
            self._clean(report, is_document=False)
        return report

    def _clean(self, report: Any, *, is_document: bool) -> None:
        def fit(text: str) -> str:
            return printable(self.secrets.hide(text)) if is_document else self.secrets.hide(text)

        problem = report.longrepr
        if isinstance(problem, tuple):  # of a skipped test: where, and why
            report.longrepr = (*problem[:2], fit(problem[2]))
        elif problem is not None and fit(text := str(problem)) != text:
            report.longrepr = fit(text)
        report.sections = [(name, fit(text)) for name, text in report.sections]

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Hide secrets in a warning, in place; that of a thread's error holds a traceback."""
        text = str(warning_message.message)
        if (hidden := self.secrets.hide(text)) != text:
            warning_message.message = hidden

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: Any) -> None:
        """Hide secrets in the traceback of an error inside pytest or a plugin, in place: nobody asks for another."""
        hide = self.secrets.hide
        for trace, crash, _ in getattr(excrepr, "chain", [(excrepr.reprtraceback, excrepr.reprcrash, None)]):
            if crash is not None:
                crash.message = hide(crash.message)
            for entry in trace.reprentries:
                entry.lines = [hide(line) for line in entry.lines]
                if (shown := getattr(entry, "reprlocals", None)) is not None:
                    shown.lines = [hide(line) for line in shown.lines]
                if (given := getattr(entry, "reprfuncargs", None)) is not None:
                    given.args = [(name, hide(text)) for name, text in given.args]
