"""The run folder, written as documents finish: this process's shard, and what a report carries.

A report carries a few builtins only; the record is on disk before the report exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_lmms.plugin.collection import TaskFile
from pytest_lmms.plugin.session import LmmsSession, session_of
from pytest_lmms.records import Record, TokenCounts
from pytest_lmms.results.efficiency import number_of
from pytest_lmms.results.store import RunFolder, Shard, index_shards

PROPERTY = "lmms"
"""Name of the user property that a document's report carries."""


def summarise(record: Record, score_key: str) -> dict[str, Any]:
    """What a report tells of a record: builtins only, whatever the record's size."""
    scores = next(iter(record.scores.values()), {})
    output = [t.output_tokens for t in record.token_counts if t.output_tokens is not None]
    return {
        "task": record.task,
        "doc_id": record.doc_id,
        "status": record.status,
        "score": number_of(scores, score_key),
        "output_tokens": int(sum(output)) if output else None,
        "cached": record.num_cached,
    }


class Recorder:
    """Writes this process's records."""

    def __init__(self, session: LmmsSession) -> None:
        self.session = session
        self.folder = RunFolder(session.run_path)
        self.folder.start(session.run_info())
        self._shard: Shard | None = None
        self._noted: set[str] = set()
        hook = session.config.hook
        self._observe = hook.pytest_lmms_document_recorded if hook.pytest_lmms_document_recorded.get_hookimpls() else None
        self.extra_scores = self._extra_scores if hook.pytest_lmms_score.get_hookimpls() else None
        self._suspects = frozenset(session.ours.get("suspects", ()))
        self._known = index_shards(self.folder.shards) if session.is_replacement else None

    @property
    def shard(self) -> Shard:
        """This process's shard; opened at the first record."""
        if self._shard is None:
            self._shard = self.folder.shard(self.session.writer)
        return self._shard

    def write(self, record: Record) -> None:
        """Make a record durable, then let plugins see it. On the engine's loop."""
        self.shard.write(record)
        if self._observe is not None:
            self._observe(record=record)

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
            token_counts=[
                TokenCounts(input_tokens=i, output_tokens=o, reasoning_tokens=r) for i, o, r in value["token_counts"]
            ],
        )

    def captured(self, record: Record) -> list[tuple[str, str]]:
        """What was logged for a document while it was rendered and scored."""
        return []


_KEY = pytest.StashKey[Recorder]()


def recorder_of(config: pytest.Config) -> Recorder:
    """The recorder of this process; made, with the run folder, at the first document."""
    recorder = config.stash.get(_KEY, None)
    if recorder is None:
        recorder = config.stash[_KEY] = Recorder(session_of(config))
    return recorder
