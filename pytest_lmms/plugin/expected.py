"""What a run set out to record, and why that is no whole benchmark."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_lmms.plugin.items import is_document
from pytest_lmms.plugin.paths import resolve_id
from pytest_lmms.plugin.session import session_of
from pytest_lmms.plugin.units import doc_id_of, task_of

if TYPE_CHECKING:
    import pytest


class Selection(NamedTuple):
    """What a run set out to record, by task."""

    documents: dict[str, list[int]]
    """Row numbers."""
    paths: dict[str, Path]
    """The YAML that the task is loaded from."""
    node_ids: dict[str, str]
    """What stands before `[17]` in the ids of its documents."""


def selected(session: pytest.Session | None, config: pytest.Config, skipped: Collection[str]) -> Selection:
    """What was selected, from this process's items or the workers' collection.

    Args:
        session: Whose items to look at; None before there is one.
        config: Of this process.
        skipped: Ids of documents that nobody expects a record of.
    """
    documents: dict[str, list[int]] = {}
    paths: dict[str, Path] = {}
    node_ids: dict[str, str] = {}
    controller = config.pluginmanager.get_plugin("lmms-xdist-controller")
    if controller is None:
        for item in getattr(session, "items", ()):
            if is_document(item) and item.nodeid not in skipped:
                name = item.parent.task.name
                documents.setdefault(name, []).append(item.index)
                paths[name] = item.parent.source.resolve()
                node_ids.setdefault(name, item.nodeid.rpartition("[")[0])
        return Selection(documents, paths, node_ids)
    for nodeid in _collection(config, controller):
        prefix = task_of(nodeid)
        if prefix is not None and nodeid not in skipped:
            file, _, name = prefix.partition("::")
            name = name.rpartition("::")[2]  # behind the group that changes it, if any
            documents.setdefault(name, []).append(doc_id_of(nodeid))
            if name not in paths:
                paths[name], node_ids[name] = _file(config, file), prefix
    return Selection(documents, paths, node_ids)


def _collection(config: pytest.Config, controller: Any) -> list[str]:
    if controller.scheduler is not None:
        return controller.scheduler.collection or []
    dsession = config.pluginmanager.get_plugin("dsession")
    return list(getattr(getattr(dsession, "sched", None), "collection", None) or [])


def _file(config: pytest.Config, file: str) -> Path:
    """The YAML that a node id's first part stands for."""
    path = config.rootpath / file
    return path if path.is_file() else Path(resolve_id(config, file))


def why_partial(config: pytest.Config, skipped: Collection[str]) -> list[str]:
    """Why the selection is no whole benchmark."""
    option, settings = config.option, session_of(config).settings
    reasons = []
    if settings.limit is not None or settings.offset:
        limit = "none" if settings.limit is None else f"{settings.limit:g}"
        reasons.append(f"limit {limit}, offset {settings.offset}")
    if settings.subset is not None:
        reasons.append(f"a subset of {settings.subset} documents of each task")
    if option.keyword or option.markexpr or getattr(option, "lf", False) or getattr(option, "deselect", None):
        reasons.append("documents were deselected")
    if skipped:
        reasons.append("documents were skipped")
    if any("::" in arg for arg in config.args):
        reasons.append("single documents were named")
    return reasons
