"""The run folder, written as documents finish: this process's shard, what a report carries, and what was printed.

A report carries a few builtins only; the record is on disk before the report exists. Prints of task code and
adapters belong to no document, because many are in flight: they go to `logs/<worker>.log`. Log records made while a
document is rendered or scored are attached to its report when it errs.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.plugin.items import DocumentItem, TaskFile
from pytest_lmms.plugin.session import KEY, LmmsSession, is_verbose, session_of
from pytest_lmms.records import Record, token_counts_from
from pytest_lmms.results.efficiency import number_of
from pytest_lmms.results.shards import Shard, index_shards
from pytest_lmms.results.store import RunFolder

PROPERTY = "lmms"
"""Name of the user property that a document's report carries."""


def summarise(record: Record, score_key: str) -> dict[str, Any]:
    """What a report tells of a record: builtins only, whatever the record's size."""
    return _summary(
        record.task, record.doc_id, record.status, record.scores, score_key,
        [t.output_tokens for t in record.token_counts], record.num_cached,
    )  # fmt: skip


def summarise_decoded(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a record read from a shard, whose task is not loaded here."""
    return _summary(
        record["task"], record["doc_id"], record["status"], record["scores"], "score",
        [o for _, o, _ in record["token_counts"]], record.get("num_cached", 0),
    )  # fmt: skip


def _summary(  # noqa: PLR0917
    task: str, doc_id: int, status: str, by_filter: Mapping[str, Any], score_key: str, tokens: list[int | None],
    num_cached: int,
) -> dict[str, Any]:  # fmt: skip
    output = [t for t in tokens if t is not None]
    return {
        "task": task,
        "doc_id": doc_id,
        "status": status,
        "score": number_of(next(iter(by_filter.values()), {}), score_key),
        "output_tokens": int(sum(output)) if output else None,
        "cached": num_cached,
    }


class Recorder:
    """Writes this process's records."""

    def __init__(self, session: LmmsSession) -> None:
        self.session = session
        session.begin_run()
        self.folder = RunFolder(session.run_path)
        self.folder.start(session.run_info())
        self._shard: Shard | None = None
        self._noted: set[str] = set()
        hook = session.config.hook
        observe = hook.pytest_lmms_document_recorded
        self._observe = observe if observe.get_hookimpls() else None
        self.extra_scores = self._extra_scores if hook.pytest_lmms_score.get_hookimpls() else None
        self._suspects = frozenset(session.ours.get("suspects", ()))
        self._known = index_shards(self.folder.shards) if session.is_replacement else None
        self._log = DocumentLog()
        logging.getLogger().addHandler(self._log)

    @property
    def shard(self) -> Shard:
        """This process's shard; opened at the first record."""
        if self._shard is None:
            self._shard = self.folder.shard(self.session.writer)
        return self._shard

    def write(self, records: Sequence[Record]) -> Sequence[Record]:
        """Make records durable, then let plugins see them. On the engine's loop.

        Returns:
            What was written: one that cannot be stored has become an error.
        """
        written = self.shard.write([self._without_secrets(record) for record in records])
        if self._log.lines:
            for record in written:
                self._log.settle(record)
        if self._observe is not None:
            for record in written:
                self._observe(record=record)
        return written

    def _without_secrets(self, record: Record) -> Record:
        """What went wrong may quote what was sent to a server; answers are kept as they are."""
        return replace(record, error=self.session.secrets.hide(record.error)) if record.error else record

    def _extra_scores(
        self, task: str, document: Mapping[str, Any], answers: Mapping[str, list[Any]], scores: Mapping[str, Any]
    ) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        for found in self.session.config.hook.pytest_lmms_score(
            task=task, document=document, answers=answers, scores=scores
        ):
            extra.update(found or {})
        return extra

    def note_task(self, task_file: TaskFile) -> None:
        """Write down, once, how many documents a task has before offset and limit."""
        name = task_file.task.name
        if name not in self._noted:
            self._noted.add(name)
            self.shard.note(
                task=name, num_documents=len(task_file.rows), path=str(task_file.task.path), writer=self.session.writer
            )

    # --- after a crash -------------------------------------------------------------------------------------------

    def is_suspect(self, item: Any) -> bool:
        """Whether an item was in flight when a worker died; such items run alone."""
        return item.nodeid in self._suspects

    def recorded(self, item: Any) -> Record | None:
        """The record that a dead worker had already written for an item."""
        if self._known is None:
            return None
        task = item.parent.task.name
        place = self._known.places.get(task, {}).get(item.index)
        if place is None:
            return None
        value = self._known.read(place)
        return Record(
            task=task,
            doc_id=item.index,
            status=value["status"],
            scores=value["scores"],
            error=value.get("error"),
            token_counts=[token_counts_from(counts) for counts in value["token_counts"]],
        )

    def captured(self, record: Record) -> list[tuple[str, str]]:
        """What was logged for an errored document while it was rendered and scored, as sections of its report."""
        text = self._log.take(record)
        return [("Captured log", text)] if text else []

    def close(self) -> None:
        """Stop listening to loggers."""
        logging.getLogger().removeHandler(self._log)


class DocumentLog(logging.Handler):
    """Keeps log lines by document until its record tells whether anybody wants them."""

    MAX_LINES = 100
    """Of one document."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)-8s %(name)s:%(filename)s:%(lineno)d %(message)s"))
        self.lines: dict[str, list[str]] = {}
        from pytest_lmms.documents import current_document

        self._current = current_document

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, if it was made for a document."""
        name = self._current.get()
        if name is None:
            return
        lines = self.lines.setdefault(name, [])
        if len(lines) < self.MAX_LINES:
            lines.append(self.format(record))

    def settle(self, record: Record) -> None:
        """Forget the lines of a document that went well."""
        if record.status != "error":
            self.lines.pop(f"{record.task}[{record.doc_id}]", None)

    def take(self, record: Record) -> str:
        """The lines of a document."""
        return "\n".join(self.lines.pop(f"{record.task}[{record.doc_id}]", ()))


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


_KEY = pytest.StashKey[Recorder]()


def recorder_of(config: pytest.Config) -> Recorder:
    """The recorder of this process; made, with the run folder, at the first document."""
    recorder = config.stash.get(_KEY, None)
    if recorder is None:
        recorder = config.stash[_KEY] = Recorder(session_of(config))
    return recorder


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[Any]:
    """Send prints to the log while documents run."""
    config = session.config
    prints = None
    if any(isinstance(item, DocumentItem) for item in session.items):
        state = session_of(config)
        prints = PrintLog(config, RunFolder(state.run_path).logs / f"{state.writer}.log")
        config.pluginmanager.register(prints, "lmms-print-log")
    try:
        return (yield)
    finally:
        if prints is not None:
            prints.off()
            config.pluginmanager.unregister(prints)
        recorder = config.stash.get(_KEY, None)
        if recorder is not None:
            recorder.close()


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave no run folder behind when a usage error kept everything from being asked; workers have ended by now."""
    state = config.stash.get(KEY, None)
    if state is not None and state.usage_error is not None:
        state.discard_empty_run()
