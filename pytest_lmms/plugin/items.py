"""Collectors and items: a group, a task, a document."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lmms import catalog
from pytest_lmms.errors import LmmsError, TaskError, counted
from pytest_lmms.plugin import expressions, fastpath
from pytest_lmms.plugin.paths import given_index, node_id
from pytest_lmms.plugin.session import is_verbose, session_of
from pytest_lmms.printable import printable

if TYPE_CHECKING:
    from pytest_lmms.config import RunConfig
    from pytest_lmms.scoring.score import Scorer
    from pytest_lmms.tasks.render import Task
    from pytest_lmms.tasks.rows import Rows


class GroupFile(pytest.File):
    """A group YAML that was named: its members, collected."""

    def collect(self) -> Iterator[pytest.Collector]:
        """Give the tasks that the group reaches."""
        from pytest_lmms.tasks.index import index_around, load_group
        from pytest_lmms.tasks.load import members_of

        path = self.path.resolve()
        group = load_group(path)
        known = [catalog.folder("benchmarks"), *session_of(self.config).settings.task_folders]
        index = index_around(path, known=known)
        seen: set[str] = set()
        for name, changes in members_of(group, index):
            if name in seen:
                continue
            seen.add(name)
            task_path = index.tasks[name]
            if changes:
                nodeid = f"{self.nodeid}::{name}"
                yield TaskFile.from_parent(self, path=task_path, name=name, nodeid=nodeid, changes=changes, source=path)
            else:
                yield TaskFile.from_parent(self, path=task_path, nodeid=node_id(self.config, task_path))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any) -> Any:
        """Show our own errors as text."""
        return (
            printable(str(excinfo.value))
            if isinstance(excinfo.value, LmmsError)
            else super().repr_failure(excinfo, *args, **kwargs)
        )


class TaskFile(pytest.Module):
    """One task; its items are the selected documents. A module to pytest, so that module-scoped fixtures fit it."""

    task: Task
    rows: Rows
    scorer: Scorer
    changes: Mapping[str, Any]
    """Fields that a group gives the task."""
    source: Path
    """The YAML that the task is loaded from: its own, or that of a group that changes it."""

    @classmethod
    def from_parent(  # type: ignore[override]
        cls,
        parent: pytest.Collector,
        *,
        path: Path,
        changes: Mapping[str, Any] | None = None,
        source: Path | None = None,
        **more: Any,
    ) -> TaskFile:
        """Make the collector of one task."""
        made: TaskFile = super().from_parent(parent, path=path, **more)
        made.changes = changes or {}
        made.source = source or path
        return made

    @functools.cached_property
    def obj(self) -> types.ModuleType:
        """An empty stand-in for the Python module that a task is not, for whoever asks `request.module`."""
        return types.ModuleType(self.path.stem)

    def collect(self) -> Iterator[pytest.Item]:
        """Open the documents and give one item each, unless `-k` or `-m` rule all of them out."""
        from pytest_lmms.plugin.fixtures import check_ability
        from pytest_lmms.preflight import check_task
        from pytest_lmms.scoring.build import build_scorer
        from pytest_lmms.tasks.load import load_one
        from pytest_lmms.tasks.subset import choose

        session = session_of(self.config)
        settings = session.settings
        task = load_one(self.path, self.changes)
        self._name_groups(task)
        if self._is_ruled_out(task):
            self.config.stash.setdefault(PRUNED, []).append(task.name)
            return
        self._refuse_second(task)
        self.task = bound(task, settings).with_examples(settings.data)
        self.scorer = build_scorer(
            self.task,
            reasoning_tags=settings.reasoning_tags,
            full_docs=lambda: [self.rows.document(i) for i in range(len(self.rows))],
        )
        check_ability(session, self)
        self.rows = self.task.open_rows(settings.data)
        chosen = choose(
            self.rows, self.task.spec, offset=settings.offset, limit=settings.limit, subset=settings.subset,
            shard=settings.shard, where=self.task.where("subset"),
        )  # fmt: skip
        if not chosen:
            self.config.stash.setdefault(EMPTY, []).append(f"{task.name} has {counted(len(self.rows), 'document')}")
        else:
            with_scoring = not self.config.option.collectonly
            with_judges = with_scoring and settings.judge is None and not settings.predict_only
            check_task(
                self.task, self.rows, self.scorer, first=chosen[0], with_scoring=with_scoring, with_judges=with_judges
            )  # fmt: skip
        reason = fastpath.obstacle(self)
        if reason is not None and is_verbose(self.config):
            session.notices.append(f"{self.nodeid}: documents take pytest's own path: {reason}")
        make = DocumentItem.make if reason is None else document_function
        for index in chosen:
            yield make(self, index)

    def _refuse_second(self, task: Task) -> None:
        """Records are kept by task name: two files with one name cannot share a run."""
        from pytest_lmms.tasks.index import twice_defined

        first = self.config.stash.setdefault(_COLLECTED, {}).setdefault(task.name, self.source)
        if first != self.source:
            raise TaskError(twice_defined(task.name, [first, self.source]))

    def _name_groups(self, task: Task) -> None:
        """Let `-k` and `-m` know the task's groups and tags."""
        option = self.config.option
        names = {task.name, *task.spec.tag, *task.spec.group}
        if option.keyword or option.markexpr:
            names |= given_index(self.config).groups_of(task.name)
        self.extra_keyword_matches.update(filter(None, [session_of(self.config).settings.run_label]))
        self.extra_keyword_matches.update(names)
        for name in sorted(names):
            mark = pytest.Mark(name, (), {}, _ispytest=True)
            self.own_markers.append(mark)

    def _is_ruled_out(self, task: Task) -> bool:
        option = self.config.option
        names = [n for node in self.listchain() for n in (node.name, *node.extra_keyword_matches)]
        marks = [m.name for m in self.iter_markers()]
        return not (
            expressions.may_match_keyword(option.keyword or "", names=[*names, *marks], task=task.name + self._opening)
            and expressions.may_match_marks(option.markexpr or "", marks=marks)
        )

    @property
    def _opening(self) -> str:
        """What stands between a task's name and the number of a document: the run, where a config file has several."""
        label = session_of(self.config).settings.run_label
        return f"[{label}-" if label else "["

    def document_name(self, index: int) -> str:
        """`mme[17]`, or `mme[qwen3_vl-17]`."""
        return f"{self.task.name}{self._opening}{index}]"

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """File and name."""
        return (self.path, 0, self.path.name)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any) -> Any:
        """Show our own errors as text."""
        return (
            printable(str(excinfo.value))
            if isinstance(excinfo.value, LmmsError)
            else super().repr_failure(excinfo, *args, **kwargs)
        )


_COLLECTED = pytest.StashKey[dict[str, Path]]()
"""Task name to the file it was collected from."""
EMPTY = pytest.StashKey[list[str]]()
"""Tasks of which offset, limit, subset and shard left nothing, and how many documents there are."""
PRUNED = pytest.StashKey[list[str]]()
"""Tasks that `-k` and `-m` ruled out before their dataset was opened."""


def bound(task: Task, settings: RunConfig) -> Task:
    """A task with everything that the user's settings say about it."""
    traced = {"agentic_trace_mode": settings.agentic_trace_mode} if settings.agentic_trace_mode else {}
    return task.bind(
        model_names=model_names(settings.model),
        generation_overrides={**settings.gen_kwargs, **traced},
        seed=settings.seed,
        system_instruction=settings.system_instruction,
        fewshot_override=settings.num_fewshot,
        fewshot_as_turns=settings.fewshot_as_multiturn,
        repeats_override=settings.repeats,
    )


def model_names(model: str | None) -> tuple[str, ...]:
    """Canonical name and aliases of a model, for prompt variants."""
    if model is None:
        return ()
    from pytest_lmms.registry import MODELS

    canonical = MODELS.canonical(model)
    return (canonical, *MODELS.aliases(canonical))


class DocumentItem(pytest.Item):
    """One document, run by our own protocol."""

    parent: TaskFile
    index: int
    position: int
    is_submitted: bool
    stretch: Sequence[pytest.Item]
    """The documents that are run in one go with this one, which is the first; none for a document alone."""

    @classmethod
    def make(cls, parent: TaskFile, index: int) -> DocumentItem:
        """Make the item of one row."""
        name = parent.document_name(index)
        item: DocumentItem = cls.from_parent(parent, name=name, nodeid=f"{parent.nodeid}::{name}")
        item.index = index
        item.position = 0
        item.is_submitted = False
        item.stretch = ()
        return item

    @property
    def location(self) -> tuple[str, int | None, str]:
        """File, line and name, as reports want them; made without asking the file system."""
        return (self.parent.nodeid, 0, self.name)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """As `location`."""
        return (self.path, 0, self.name)

    def runtest(self) -> None:
        """Never called: `run_document` has its own protocol for these items."""
        raise AssertionError("documents are run by pytest_lmms.plugin.run_document")


class DocumentFunction(pytest.Function):
    """One document as an ordinary pytest function."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any) -> Any:
        """Show what the record says, without the frames of the harness."""
        from pytest_lmms.plugin.ownpath import DocumentFailed

        if isinstance(excinfo.value, (DocumentFailed, LmmsError)):
            return printable(str(excinfo.value))
        return super().repr_failure(excinfo, *args, **kwargs)


def document_function(parent: TaskFile, index: int) -> pytest.Function:
    """Make an ordinary function of one document, where something needs pytest's own three phases."""
    from pytest_lmms.plugin.ownpath import run_as_function

    def document(lmms_model: Any, request: pytest.FixtureRequest) -> None:
        run_as_function(request.node, lmms_model)

    item: pytest.Function = DocumentFunction.from_parent(parent, name=parent.document_name(index), callobj=document)
    fastpath.give_document_id(item)
    item.index = index  # type: ignore[attr-defined]
    item.position = 0  # type: ignore[attr-defined]
    item.is_submitted = False  # type: ignore[attr-defined]
    return item


def is_document(item: object) -> bool:
    """Whether an item is a document, on either path."""
    return isinstance(getattr(item, "parent", None), TaskFile) and hasattr(item, "index")
