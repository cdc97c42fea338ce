"""The run folder, written as documents finish: this process's shard, and what a report carries.

A report carries a few builtins only; the record is on disk before the report exists. Log records made while a
document is rendered or scored are attached to its report when it errs. What was printed is `prints`'s.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_lmms.plugin import fastpath
from pytest_lmms.plugin.fixtures import lmms_model
from pytest_lmms.plugin.items import DocumentItem, TaskFile
from pytest_lmms.plugin.prints import PrintLog
from pytest_lmms.plugin.session import KEY, LmmsSession, session_of
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
        self._notes: list[dict[str, Any]] = []
        """Not yet on disk."""
        self._noting = threading.Lock()
        """Notes come from the main thread and from the engine's loop."""
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
        self._write_notes()
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

    def note_task(self, task_file: TaskFile, model: Any = None) -> None:
        """Write down, once, how many documents a task has before offset and limit, and who answers in a model's place.

        Args:
            task_file: The task.
            model: What its fixture `lmms_model` gave; None where it gave nothing.
        """
        name = task_file.task.name
        if name not in self._noted:
            self._noted.add(name)
            is_overridden = model is not None and not fastpath.is_own_fixture(task_file, lmms_model)
            self.note(
                task=name, num_documents=len(task_file.rows), path=str(task_file.task.path), writer=self.session.writer,
                **({"overriding_model": type(model).__name__} if is_overridden else {}),
            )  # fmt: skip

    def note(self, **values: Any) -> None:
        """Write down something that is no record; where that fails, before the next record, which fails with it."""
        self._notes.append(values)
        with contextlib.suppress(OSError):
            self._write_notes()

    def _write_notes(self) -> None:
        with self._noting:
            while self._notes:
                self.shard.note(**self._notes[0])
                self._notes.pop(0)

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
