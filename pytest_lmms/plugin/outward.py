"""What leaves a session is fit to be seen: no secrets in reports and logs, no control characters of strangers.

Reports are changed where they are made, in the worker, so that terminal, JUnit and other plugins all get the same text;
so are the errors that they are made of, which other plugins read too. Log records are changed before any handler sees
them. Sessions without tasks are left alone.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Generator
from typing import Any

import pytest

from pytest_lmms.masks import Secrets
from pytest_lmms.plugin import fastpath, shownerrors
from pytest_lmms.plugin.items import DocumentItem
from pytest_lmms.plugin.paths import may_hold_tasks
from pytest_lmms.plugin.session import session_of
from pytest_lmms.plugin.writers import HidingStream
from pytest_lmms.printable import printable


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Watch what leaves a session that may hold tasks."""
    if session_of(config).is_worker or may_hold_tasks(config):
        secrets = session_of(config).secrets
        fastpath.change_traces(config, secrets.hide)
        outward = Outward(secrets)
        config.pluginmanager.register(outward, "lmms-outward")
        config.pluginmanager.register(Innermost(outward), "lmms-innermost")


_FIELDS = frozenset(vars(logging.makeLogRecord({})))
"""Those that any log record has."""


class Outward:
    """Hides the secrets of one session."""

    def __init__(self, secrets: Secrets) -> None:
        self.secrets = secrets
        self._make_record = logging.getLogRecordFactory()
        logging.setLogRecordFactory(self._record)
        self._logger_makes = logging.Logger.makeRecord
        self._makes_whole = self._whole_record_maker()
        logging.Logger.makeRecord = self._makes_whole  # type: ignore[method-assign]
        self._thread_failed = threading.excepthook
        threading.excepthook = self._tell_of_thread
        self._is_ignored = sys.unraisablehook
        sys.unraisablehook = self._tell_of_ignored
        self._streams = [HidingStream(stream, secrets.hide) for stream in (sys.stdout, sys.stderr)]

    def pytest_unconfigure(self) -> None:
        """Let log records be made, errors of threads and finalizers told, and prints printed, as before."""
        for stream in self._streams:
            stream.let_go()
        if sys.unraisablehook == self._tell_of_ignored:
            sys.unraisablehook = self._is_ignored
        if threading.excepthook == self._tell_of_thread:
            threading.excepthook = self._thread_failed
        if logging.getLogRecordFactory() == self._record:
            logging.setLogRecordFactory(self._make_record)
        if logging.Logger.makeRecord is self._makes_whole:
            logging.Logger.makeRecord = self._logger_makes  # type: ignore[method-assign]

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

    def _whole_record_maker(self) -> Any:
        """Hide secrets in the fields of `extra=`, which loggers add to a record that the factory has made."""
        make = self._logger_makes

        @functools.wraps(make)
        def make_record(logger: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:
            record = make(logger, *args, **kwargs)
            for name in vars(record).keys() - _FIELDS:
                setattr(record, name, shownerrors.hidden(getattr(record, name), self.secrets.hide))
            return record

        return make_record

    def _tell_of_thread(self, args: threading.ExceptHookArgs) -> None:
        """Hide secrets in an error that ended a thread, whoever tells of it, and however late."""
        if (shown := shownerrors.substitute(args.exc_value, self.secrets.hide)) is not None:
            args = threading.ExceptHookArgs((type(shown), shown, args.exc_traceback, args.thread))
        self._thread_failed(args)

    def _tell_of_ignored(self, args: sys.UnraisableHookArgs) -> None:
        """Hide secrets in an error of a finalizer, which Python tells of and ignores."""
        if (shown := shownerrors.substitute(args.exc_value, self.secrets.hide)) is not None:
            # Python offers no way to make these arguments but from all of them.
            values = (type(shown), shown, args.exc_traceback, args.err_msg, args.object)
            args = type(args)(values)  # type: ignore[call-arg]
        self._is_ignored(args)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Hide secrets in why a session was ended, in place: nobody asks for another."""
        shownerrors.without_secrets(excinfo.value, self.secrets.hide)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        """Hide secrets in the errors of a fixture and of its teardown before other plugins write them down."""

        def shown_of(error: BaseException) -> BaseException:
            return shownerrors.without_secrets(error, self.secrets.hide)

        try:
            return (yield)
        except BaseException as error:
            shown = shown_of(error)
            if shown is error:
                raise
            raise shown from None
        finally:
            fastpath.change_errors_of_finalizers(fixturedef, shown_of)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Hide secrets in the report of a document or test, and in what it is made of; see `Innermost`."""
        hide = self.secrets.hide
        if call.excinfo is not None:
            shown = shownerrors.without_secrets(call.excinfo.value, hide)
            if shown is not call.excinfo.value:
                call.excinfo = pytest.ExceptionInfo.from_exception(shown)
        sections = fastpath.report_sections(item)
        sections[:] = [(when, name, hide(text)) for when, name, text in sections]
        report = yield
        self.clean(report, is_document=isinstance(item, DocumentItem))
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self) -> Generator[None, Any, Any]:
        """Hide secrets in what went wrong while collecting."""
        report = yield
        if report.failed:
            self.clean(report, is_document=False)
        return report

    def clean(self, report: Any, *, is_document: bool) -> None:
        """Hide secrets in a report; a document's controls are a stranger's."""

        def fit(text: str) -> str:
            return printable(self.secrets.hide(text)) if is_document else self.secrets.hide(text)

        problem = report.longrepr
        if isinstance(problem, tuple):  # of a skipped test: where, and why
            report.longrepr = (*problem[:2], fit(problem[2]))
        elif problem is not None and fit(text := str(problem)) != text:
            report.longrepr = fit(text)
        report.sections = [(name, fit(text)) for name, text in report.sections]
        properties = getattr(report, "user_properties", [])
        properties[:] = [(name, fit(value) if isinstance(value, str) else value) for name, value in properties]

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


class Innermost:
    """Cleans a report as soon as it is made: wrappers of other plugins see it before that of `Outward` comes to it."""

    def __init__(self, outward: Outward) -> None:
        self._outward = outward

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Hide secrets."""
        report = yield
        self._outward.clean(report, is_document=isinstance(item, DocumentItem))
        return report
