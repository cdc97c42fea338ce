"""The engine and the line of one model object, in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.documents import Document
from pytest_lmms.errors import UsageError, explain
from pytest_lmms.evaluate import Line
from pytest_lmms.inference.cache import ResponseStore
from pytest_lmms.inference.engine import Engine, EngineSettings
from pytest_lmms.inference.model import admitted_by
from pytest_lmms.judging import Judges
from pytest_lmms.plugin.budget import budget_of, stop_of
from pytest_lmms.plugin.recording import Recorder
from pytest_lmms.plugin.session import LmmsSession
from pytest_lmms.records import Record

WINDOW = 256
"""Documents in flight, at least; a multiple of the batch size when batches are larger."""
SHUTDOWN_SECONDS = 30.0


class ModelLine:
    """The engine and line of one model object, and what has come back from it."""

    def __init__(self, model: Any, session: LmmsSession, recorder: Recorder, judges: Judges | None = None) -> None:
        settings = session.settings
        store = ResponseStore(recorder.folder.responses, writer=session.writer, read=session.reads_store)
        if settings.cache is not None:
            store = _shared(store, settings.cache, model, session)
        _warn_of_damage(store, session)
        self.engine = Engine(
            model,
            store=store,
            settings=EngineSettings(
                batch_size=settings.batch_size,
                timeout_seconds=settings.timeout,
                shutdown_seconds=SHUTDOWN_SECONDS,
                is_replaceable=session.is_replaceable,
                spend=budget_of(session),
                give_up_run=stop_of(session),
            ),
        )
        self.engine.start()
        self.line = Line(
            self.engine, record=recorder.write, extra_scores=recorder.extra_scores, judges=judges,
            is_scored=not session.settings.predict_only,
        )  # fmt: skip
        self.model = model
        self.recorder = recorder
        self.window = max(WINDOW, 4 * self.engine.batch_size * self.engine.num_parallel)
        if self.engine.is_async:
            self.window = max(WINDOW, 2 * admitted_by(model, most=True))
        self.done: dict[Document, Record | None] = {}

    def wait(self, document: Document) -> Record | None:
        """The record of one submitted document; None when the run was stopped before it was asked."""
        while document not in self.done:
            finished, record = self.line.take()
            self.done[finished] = record
        return self.done.pop(document)

    def close(self) -> None:
        """Stop the engine; write down the batch size that fitted."""
        self.engine.close()
        if self.engine.fitting_batch_size != self.engine.settings.batch_size and not self.engine.is_async:
            self.recorder.note(fitting_batch_size=self.engine.fitting_batch_size)


def _warn_of_damage(store: ResponseStore, session: LmmsSession) -> None:
    """Name the lines of a store that cannot be read, from workers too."""
    for place in store.damaged:
        text = f"{place}: this line holds no responses; whatever it was is asked again"
        session.config.issue_config_time_warning(pytest.PytestWarning(text), stacklevel=2)


def _shared(own: ResponseStore, folder: str, model: Any, session: LmmsSession) -> ResponseStore:
    """Put the store of `--lmms-cache` behind the run's own."""
    from pytest_lmms.inference.shared import SharedStore

    if getattr(model, "identity", None) is None:
        text = f"{type(model).__name__} has no identity, so that nobody can know whose answers a cache holds"
        remedy = "give it one (see pytest_lmms.inference.model.Identified), or leave the cache out"
        raise UsageError(explain(text, where=session.settings.sources.get("cache", "--lmms-cache"), remedy=remedy))
    path = Path(folder).expanduser()
    return SharedStore(own, ResponseStore(path, writer=f"{own.folder.parent.name}-{session.writer}", read=True))
