"""Keep the engine busy ahead of pytest, and hand every item its own record.

pytest asks for one item after the other. The runner puts the items that this process will run next in flight as
well, within a window, and gives each item its record when pytest comes to it. One engine serves one model object.
Imported with the first document, because all of the line comes with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_lmms.documents import Document
from pytest_lmms.errors import UsageError
from pytest_lmms.inference.batching import Group
from pytest_lmms.inference.model import ignored_settings
from pytest_lmms.judging import Judges
from pytest_lmms.llm_judge.calls import PANEL
from pytest_lmms.plugin import fastpath
from pytest_lmms.plugin.items import DocumentItem, TaskFile, is_document
from pytest_lmms.plugin.model_line import ModelLine
from pytest_lmms.plugin.ownpath import fixture_failure
from pytest_lmms.plugin.recording import PROPERTY, Recorder, summarise
from pytest_lmms.plugin.reports import make_report
from pytest_lmms.plugin.session import LmmsSession
from pytest_lmms.printable import printable
from pytest_lmms.records import Record
from pytest_lmms.tasks.rows import digest_row

STUCK_EXIT_CODE = 75
"""Of a worker that leaves its documents to another; the system's word for a failure that may pass (EX_TEMPFAIL)."""


class Runner:
    """Runs the documents of this process."""

    def __init__(self, session: LmmsSession, recorder: Recorder) -> None:
        self.session = session
        self.recorder = recorder
        self.lines: dict[int, ModelLine] = {}
        self.documents: dict[pytest.Item, Document] = {}
        self.judges: Judges | None = None
        self.active: TaskFile | None = None
        self.active_line: ModelLine | None = None
        self.failure: BaseException | None = None
        """What filling the active task's fixtures raised."""
        self._noted: set[TaskFile] = set()
        self._hook_of: tuple[Any, Any] = (None, None)
        self._wants_teardown = bool(session.config.getoption("xmlpath", None))
        self._next = 0
        """On a single process: first item that has not been looked at."""

    # --- the short protocol --------------------------------------------------------------------------------------

    def run(self, item: DocumentItem, next_item: pytest.Item | None) -> None:
        """Run one document, report it, and tear its task down when the next item is another's."""
        started = time.time()
        task_file = item.parent
        record: Record | None = None
        if self.active is not task_file:
            self._set_up(task_file, item)
        failure: str | None = None
        if self.failure is not None:
            failure = fixture_failure(self.failure)
            if self.session.usage_error is None and not isinstance(self.failure, pytest.skip.Exception):
                record = self.record_failure(item, failure)
        else:
            assert self.active_line is not None  # noqa: S101
            record = self._answer(item, self.active_line)
        if self.session.usage_error is None:  # told once, at the end, and by no document
            self.report(item, record, failure=failure, started=started)
        pytest_session = item.session
        stopping = pytest_session.shouldfail or pytest_session.shouldstop
        if next_item is None or stopping or next_item.parent is not task_file:
            self._tear_down(pytest_session, None if stopping else next_item, item)

    def _set_up(self, task_file: TaskFile, item: pytest.Item) -> None:
        self.active, self.failure, self.active_line = task_file, None, None
        try:
            model = fastpath.set_up(task_file)
            self.active_line = self.line_for(model, fastpath.probe(task_file)._request)
        except (KeyboardInterrupt, SystemExit, pytest.exit.Exception):
            raise
        except UsageError as e:
            self.session.usage_error = str(e)
            item.session.shouldfail = "usage error"
            self.failure = e
        except BaseException as e:  # noqa: BLE001  (a fixture may raise anything; each document reports it)
            self.failure = e

    def _tear_down(self, session: pytest.Session, next_item: pytest.Item | None, item: pytest.Item) -> None:
        self.active = None
        try:
            fastpath.tear_down(session, next_item)
        except Exception as e:  # noqa: BLE001  (a fixture's teardown; reported with the task's last document)
            report = make_report(item, "teardown", "failed", longrepr=f"tear-down after {item.nodeid} failed: {e!r}")
            item.ihook.pytest_runtest_logreport(report=report)

    def record_failure(self, item: Any, failure: str) -> Record:
        """Write the error record of a document that could not be asked because a fixture failed."""
        known = self.recorder.recorded(item)
        if known is not None:
            return known
        task_file = item.parent
        self.recorder.note_task(task_file)
        try:
            doc_hash = digest_row(task_file.rows.storage(item.index))
        except Exception:  # noqa: BLE001  (the fixture's failure is what has to be told)
            doc_hash = ""
        record = Record(task=task_file.task.name, doc_id=item.index, status="error", doc_hash=doc_hash, error=failure)
        return self.recorder.write([record])[0]

    # --- engines and the window ----------------------------------------------------------------------------------

    def line_for(self, model: Any, request: Any) -> ModelLine:
        """The line of a model object; made when first asked for, closed before the model goes."""
        line = self.lines.get(id(model))
        if line is None:
            judges = self._judges()
            if not self.lines:
                from pytest_lmms.plugin.judges import seat_panel

                seat_panel(self.session, self.recorder, judges)
            line = self.lines[id(model)] = ModelLine(model, self.session, self.recorder, judges)

            def close() -> None:
                self.lines.pop(id(model), None)
                line.close()

            fastpath.before_model_goes(request, close)
        return line

    def _judges(self) -> Judges | None:
        """The judges, started when the first model is there."""
        settings = self.session.settings
        if self.judges is None and settings.judge is not None and not settings.predict_only:
            from pytest_lmms.plugin.judges import start_judges

            self.judges = start_judges(self.session, self.recorder)
        return self.judges

    def stop(self) -> None:
        """Give up what is unsent; what is in hand goes on."""
        for line in list(self.lines.values()):
            line.engine.stop()
        PANEL.stop()
        if self.judges is not None:
            self.judges.stop()

    def _answer(self, item: Any, line: ModelLine) -> Record | None:
        known = self.recorder.recorded(item)
        if known is not None:
            return known
        if not item.is_submitted:
            self._submit_from(item, line)
        elif line.line.num_outstanding < line.window // 2:
            self._look_ahead(item, line)
        record = line.wait(self.documents.pop(item))
        if record is None and line.engine.is_stuck:
            self._leave_to_another(line)
        return record

    def _leave_to_another(self, line: ModelLine) -> None:
        """End this worker at once, and say why: its adapter never comes back, and others can ask what is left.

        Everything that is known has been recorded by then. A thread that is stuck inside an adapter cannot be ended
        in any other way.
        """
        line.close()
        self.recorder.note(stuck=self.session.writer)
        os._exit(STUCK_EXIT_CODE)

    def _submit_from(self, item: Any, line: ModelLine) -> None:
        """Put an item, and those that this process runs next, in flight."""
        members = [item]
        if self.recorder.is_suspect(item):
            self._submit(members, line)
            return
        group = self._group_of(item, line)
        ahead = self._ahead(item)
        for other in ahead:
            if not self._may_follow(item, other) or self._group_of(other, line) != group:
                self._submit(members, line)
                if self._may_follow(item, other):
                    self._fill([other], ahead, line, item)
                return
            members.append(other)
        self._submit(members, line)

    def _look_ahead(self, item: Any, line: ModelLine) -> None:
        if not self.recorder.is_suspect(item):
            self._fill([], self._ahead(item), line, item)

    def _fill(self, members: list[Any], ahead: Iterator[Any], line: ModelLine, item: Any) -> None:
        """Submit whole groups until the window is full."""
        group = self._group_of(members[0], line) if members else None
        for other in ahead:
            if not self._may_follow(item, other):
                break
            other_group = self._group_of(other, line)
            if members and other_group != group:
                self._submit(members, line)
                members = []
                if line.line.num_outstanding >= line.window:
                    return
            group = other_group
            members.append(other)
        if members:
            self._submit(members, line)

    def _may_follow(self, item: Any, other: Any) -> bool:
        """Whether another item may be in flight together with this one."""
        if not isinstance(other, type(item)) or not is_document(other) or self.recorder.is_suspect(other):
            return False
        return other.parent is item.parent or fastpath.same_fixtures(item.parent, other.parent)

    @staticmethod
    def _group_of(item: Any, line: ModelLine) -> tuple[int, int]:
        size = 1 if line.engine.is_async else max(1, line.engine.batch_size // item.parent.task.repeats)
        return id(item.parent), item.position // size

    def _submit(self, items: list[Any], line: ModelLine) -> None:
        group: Group[Any] | None = None if line.engine.is_async else Group(len(items))
        documents = []
        for item in items:
            task_file = item.parent
            if task_file not in self._noted:
                self._note(task_file, line)
            document = Document(task_file.task, task_file.rows, task_file.scorer, item.index, item.position, group)
            self.documents[item] = document
            item.is_submitted = True
            documents.append(document)
        line.line.submit(documents)

    def _note(self, task_file: TaskFile, line: ModelLine) -> None:
        """Write down, once a task, what the results need to know beside its records."""
        self._noted.add(task_file)
        self.recorder.note_task(task_file, line.model)
        ignored = ignored_settings(task_file.task.generation, getattr(line.model, "honours", None))
        if ignored:
            self.recorder.note(task=task_file.task.name, ignored_settings=ignored)

    def _ahead(self, item: Any) -> Iterator[Any]:
        """Items that this process will run after one, that are not in flight yet, in order."""
        items = item.session.items
        worker = item.config.pluginmanager.get_plugin("lmms-worker-queue")
        if worker is not None:
            for index in worker.upcoming():
                if not getattr(items[index], "is_submitted", False):
                    yield items[index]
            return
        while self._next < len(items):
            candidate = items[self._next]
            if candidate is item or getattr(candidate, "is_submitted", False) or self._is_past(candidate, item):
                self._next += 1
                continue
            yield candidate
            self._next += 1

    def _is_past(self, candidate: Any, item: Any) -> bool:
        return candidate.parent is item.parent and is_document(candidate) and candidate.position < item.position

    # --- reports -------------------------------------------------------------------------------------------------

    def report(self, item: Any, record: Record | None, *, failure: str | None, started: float) -> None:
        """Send the one report of a document."""
        if record is None and failure is None:
            return  # the run was stopped before it was asked: not run, and counted as such
        outcome = "failed" if failure or (record and record.status == "error") else "passed"
        problem = failure or (record.error if record and record.status == "error" else None)
        longrepr: Any = printable(self.session.secrets.hide(problem)) if problem else None
        if isinstance(self.failure, pytest.skip.Exception):
            reason = f"Skipped: {self.session.secrets.hide(str(self.failure))}"
            outcome, longrepr = "skipped", (str(item.path), 0, reason)
        duration = max((t.seconds for t in record.timings), default=0.0) if record else 0.0
        report = make_report(item, "call", outcome, longrepr=longrepr, started=started, duration=duration)
        if record is not None:
            report.user_properties = [(PROPERTY, summarise(record, item.parent.task.spec.score_key))]
            if outcome == "failed":
                report.sections = [(name, printable(text)) for name, text in self.recorder.captured(record)]
        if self._hook_of[0] is not item.parent:
            self._hook_of = (item.parent, item.ihook.pytest_runtest_logreport)
        logreport = self._hook_of[1]
        logreport(report=report)
        if self._wants_teardown:
            logreport(report=make_report(item, "teardown", "passed", properties=report.user_properties))

    def close(self) -> None:
        """Stop every engine that is still running."""
        for line in list(self.lines.values()):
            line.close()
        self.lines.clear()
        PANEL.close()
        if self.judges is not None:
            self.judges.close()
            self.judges = None
