"""The controller's view of a run: what was expected and what came; results, complaints and the exit code at its end."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lmms.errors import LmmsError
from pytest_lmms.plugin.alike import Errors
from pytest_lmms.plugin.expected import Selection, selected, why_partial
from pytest_lmms.plugin.items import bound, is_document
from pytest_lmms.plugin.paths import given_index, may_hold_tasks, named_groups
from pytest_lmms.plugin.progress import Progress
from pytest_lmms.plugin.reports import document_summary
from pytest_lmms.plugin.session import LmmsSession, session_of
from pytest_lmms.plugin.stopping import interrupt_on_sigterm, reason_of, time_limit, uninterrupted
from pytest_lmms.printable import printable
from pytest_lmms.results.remote import is_remote, upload
from pytest_lmms.results.store import RunFolder

if TYPE_CHECKING:
    from pytest_lmms.results.groups import GroupTree

LONGEST_MESSAGE = 4000
"""Characters of an error shown on the terminal; the record keeps all."""
SURPLUS = "more documents with errors"
"""How errored documents that are not shown one by one appear in pytest's last line."""
WORDS = {"scored": "SCORED", "unparsed": "UNPARSED", "filtered": "FILTERED", "error": "ERROR",
         "unscored": "UNSCORED"}  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: Any, config: pytest.Config) -> tuple[str, str, str] | None:
    """Count documents like tests, but draw no dots for them: the progress line tells more."""
    if report.when != "call":
        return None
    summary = document_summary(report)
    if summary is None:
        return None
    category = getattr(report, "lmms_category", "failed") if report.failed else "passed"
    if report.outcome == "rerun":  # of pytest-rerunfailures: an error that is asked again is no pass
        category = "rerun"
    if config.get_verbosity() > 0:
        return category, "", WORDS[summary["status"]]
    overview: Any = config.pluginmanager.get_plugin("lmms-summary")
    is_over = overview is None or overview.is_over  # a word while documents run would be taken for a dot
    return category, "", category.upper() if is_over else ""


class Summary:
    """The controller's view of a run: what was expected, what came, how it ended."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.session = session_of(config)
        self.progress = Progress(config)
        self.errors = Errors()
        self.cut_short: str | None = None
        """Why the loop was left early."""
        self.is_over = False
        self.started = time.monotonic()
        self.finished: Any = None
        self.uploaded: str | None = None
        """Where the run folder was copied to."""
        self.num_documents = 0
        self.skipped: set[str] = set()
        """Ids of documents that a fixture or a mark skipped; nobody expects a record of them."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Find the run to go on with before anything is collected, so that a wrong one is told at once."""
        settings = self.session.settings
        if (settings.resume or settings.retry_errors) and not self.config.option.collectonly:
            try:
                self.session.run_path  # noqa: B018  (decided at first use)
            except LmmsError as e:
                raise pytest.UsageError(str(e)) from e

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: Any) -> Iterator[None]:
        """Decide how an errored document is shown; let others see it; count it."""
        if report.failed and report.when == "call" and document_summary(report) is not None:
            message = str(report.longrepr or "")
            if not self.errors.admit(report.nodeid, message):
                report.lmms_category = SURPLUS
            if len(message) > LONGEST_MESSAGE:
                report.longrepr = message[:LONGEST_MESSAGE] + f"\n... ({len(message)} characters)"
        try:
            return (yield)
        finally:
            self._count(report)

    def _count(self, report: Any) -> None:
        if report.skipped:
            self.skipped.add(report.nodeid)
        if report.when == "call" and (summary := document_summary(report)) is not None:
            if not self.progress.total:
                self.progress.total = self._count_expected()
            self.num_documents += 1
            self.progress.add(summary)

    def _count_expected(self) -> int:
        return sum(map(len, self._selected().documents.values()))

    def _selected(self) -> Selection:
        return selected(getattr(self, "pytest_session", None), self.config, self.skipped)

    # --- the end of a run ----------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Iterator[Any]:
        """Run; then, however it ended, merge, aggregate and judge."""
        self.pytest_session = session
        previous = interrupt_on_sigterm() if self._may_have_documents(session) else None
        if previous is not None:
            # Before strangers' objects lie in memory: a finalizer that raises while a module is parsed, as it may
            # whenever garbage is collected, makes Python 3.11 raise SystemError.
            from pytest_lmms.results import report  # noqa: F401
        limit = time_limit(self.session.settings.time_limit, self.started) if previous is not None else None
        try:
            return (yield)
        except BaseException as e:
            self.cut_short = self.session.secrets.hide(reason_of(e))
            raise
        finally:
            if limit is not None:
                limit.cancel()
            with uninterrupted():
                self.is_over = True
                self.progress.clear()
                self._finish(session)
            if previous is not None:
                signal.signal(signal.SIGTERM, previous)

    def _may_have_documents(self, session: pytest.Session) -> bool:
        """Whether this session is any business of ours; a controller of workers has no items of its own."""
        if self.config.pluginmanager.has_plugin("lmms-xdist-controller"):
            return may_hold_tasks(self.config)
        return any(is_document(item) for item in session.items)

    def _finish(self, session: pytest.Session) -> None:
        if not self.session.is_begun:
            return
        if not RunFolder(self.session.run_path).exists:
            if self.num_documents:
                self.session.notices.append(
                    f"results could not be made: {self.session.run_path} was removed during the run; run it again"
                )
                session.testsfailed += 1
            return
        if self.session.usage_error is not None:  # nothing was asked, and pytest will say why
            with contextlib.suppress(LmmsError, OSError):
                RunFolder(self.session.run_path).update(status="interrupted")
            return
        from pytest_lmms.results.report import Expected, finish_run

        selection = self._selected()
        documents, paths, node_ids = selection
        if not documents:
            return
        self.cut_short = self.cut_short or str(session.shouldstop or session.shouldfail or "") or None
        status = "interrupted" if self.cut_short else "complete"
        reasons, shard = why_partial(self.config, self.skipped), self.session.settings.shard
        try:
            if shard is not None:
                self._note_shard(selection, reasons)
                reasons.append(f"shard {shard[0]} of {shard[1]}")
            if self.cut_short:
                reasons.append(f"the run was cut short: {self.cut_short}")
            self.finished = finish_run(
                RunFolder(self.session.run_path),
                Expected(
                    documents=documents, paths=paths, node_ids=node_ids, reason_incomplete="; ".join(reasons) or None
                ),
                self.session.settings,
                status=status,
                bind=lambda task: bound(task, self.session.settings),
                groups=self._groups(paths),
            )
        except (LmmsError, OSError) as e:
            self.session.notices.append(f"results could not be made: {e}; --lmms-resume makes them from what is kept")
            session.testsfailed += 1
            return
        self._warn_of_flat_tasks(paths)
        self._judge_errors(session)
        self._judge_gates(session, paths)
        self._write_parquet()
        hook = self.config.hook
        if hook.pytest_lmms_run_finished.get_hookimpls():
            hook.pytest_lmms_run_finished(results=self.finished.results, run_folder=self.session.run_path)
        self._upload(session)

    def _warn_of_flat_tasks(self, paths: dict[str, Path]) -> None:
        """Warn, once a task, of prompts that a chat API gets from `doc_to_visual` and `doc_to_text`."""
        from pytest_lmms.registry import MODELS
        from pytest_lmms.tasks.load import load_from

        model = self.session.settings.model
        if model is None or not getattr(MODELS.load(model), "is_remote", False):
            return
        for name, path in paths.items():
            spec = load_from(path, name).spec
            if spec.doc_to_messages is None and spec.doc_to_visual is not None and spec.doc_to_text is not None:
                text = f"task {name} gives a chat API doc_to_visual and doc_to_text; write doc_to_messages ({path})"
                self.config.issue_config_time_warning(DeprecationWarning(text), stacklevel=2)

    def _groups(self, paths: dict[str, Path]) -> list[GroupTree]:
        """The groups to report on."""
        from pytest_lmms.results.groups import find_groups

        return find_groups(given_index(self.config), paths, named_groups(self.config))

    def _note_shard(self, selection: Selection, partial: list[str]) -> None:
        """Write down what `pytest-lmms merge` needs of a shard."""
        RunFolder(self.session.run_path).update(
            selection={
                "documents": selection.documents,
                "paths": {task: str(path) for task, path in selection.paths.items()},
                "node_ids": selection.node_ids,
                "groups": named_groups(self.config),
                "partial": partial,
            }
        )

    def _judge_errors(self, session: pytest.Session) -> None:
        """Let errored documents within `--lmms-max-errors` pass, and anything lost fail."""
        finished = self.finished
        tolerated = self.session.settings.tolerates(finished.num_errors, finished.num_expected)
        if tolerated and finished.num_errors:
            session.testsfailed = max(0, session.testsfailed - finished.num_errors)
            self.session.notices.append(
                f"{finished.num_errors} errored documents are within --lmms-max-errors: they do not fail the run"
            )
        if finished.complaints or (finished.lost and not self.cut_short):
            session.testsfailed += 1

    def _write_parquet(self) -> None:
        """Copy the records, where the user asks for it."""
        if not self.session.settings.parquet:
            return
        from pytest_lmms.results.parquet import write_parquet

        try:
            write_parquet(self.session.run_path)
        except (OSError, ValueError) as e:
            self.session.notices.append(f"records could not be written as Parquet: {e}")

    def _upload(self, session: pytest.Session) -> None:
        """Copy the run folder where the user wants it; a copy that fails fails the run, and the folder stays."""
        url = self.session.settings.output_path
        if not is_remote(url):
            return
        try:
            self.uploaded = upload(self.session.run_path, url)
        except LmmsError as e:
            self.session.notices.append(str(e))
            session.testsfailed += 1

    def _judge_gates(self, session: pytest.Session, paths: dict[str, Path]) -> None:
        """Judge what the user demands, and write it into results.json."""
        gates: Any = self.config.pluginmanager.get_plugin("lmms-gates")
        judged = gates.judge(session, self.session.run_path, paths) if gates is not None else None
        if judged is not None:
            self.finished.results["gates"] = judged
            try:
                RunFolder(self.session.run_path).write_json("results.json", self.finished.results)
            except OSError as e:
                self.session.notices.append(f"verdicts of gates could not be written: {e}")
                session.testsfailed += 1

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Stopping after N failed documents is a failure (1), also where xdist calls it an interruption (2)."""
        maxfail = self.config.getoption("maxfail", 0)
        if exitstatus == pytest.ExitCode.INTERRUPTED and maxfail and self._stopped_by_failures(session):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _stopped_by_failures(self, session: pytest.Session) -> bool:
        dsession = self.config.pluginmanager.get_plugin("dsession")
        reason = str(getattr(dsession, "shouldstop", "") or session.shouldstop or "")
        return reason.startswith("stopping after") and self.num_documents > 0

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table, what was lost, and where the run lies."""
        for notice in dict.fromkeys(self.session.notices):
            terminalreporter.write_line(f"lmms: {printable(self.session.secrets.hide(notice))}")
        if self.finished is not None:
            from pytest_lmms.plugin.telling import tell

            tell(terminalreporter, self)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep a summary in the process that the user started."""
    session: LmmsSession = session_of(config)
    if not session.is_worker:
        config.pluginmanager.register(Summary(config), "lmms-summary")
