"""From YAML files to pytest items: one collector a task, one item a document.

Named YAMLs, and YAMLs below a named folder, are collected: `paths` knows which, `items` what becomes of them.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from pytest_lmms.config import BY_NAME
from pytest_lmms.errors import LmmsError, counted
from pytest_lmms.plugin import expressions
from pytest_lmms.plugin.items import EMPTY, PRUNED, GroupFile, TaskFile, is_document
from pytest_lmms.plugin.paths import arguments, expanded, given_index, node_id
from pytest_lmms.plugin.session import session_of
from pytest_lmms.tasks.candidates import SUFFIXES, is_candidate, is_surely_meant


def pytest_configure(config: pytest.Config) -> None:
    """Turn `--lmms-tasks` and pasted ids into paths, before anything is collected; make names known to `-m`."""
    try:
        config.args[:] = arguments(config, session_of(config))
        if config.option.markexpr:
            _register_marks(config)
    except LmmsError as e:
        raise pytest.UsageError(str(e)) from e


def _register_marks(config: pytest.Config) -> None:
    """Register the tasks, groups and tags that `-m` mentions as markers, for `--strict-markers`."""
    words = set(expressions.identifiers(config.option.markexpr))
    index = given_index(config)
    for name in sorted(words & {*index.tasks, *index.groups, *index.tags}):
        config.addinivalue_line("markers", f"{name}: the documents of this task, group or tag")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect a YAML that is a task, and complain about a named one that is none and that nobody else collects."""
    collected = yield
    if file_path.suffix not in SUFFIXES:
        return collected
    ours = _collector(file_path, parent, is_anyones=bool(collected))
    if ours is None:
        return collected
    parent.config.stash[_IS_ASKED] = True
    return [*collected, ours]


def _collector(file_path: Path, parent: pytest.Collector, *, is_anyones: bool) -> pytest.Collector | None:
    config = parent.config
    is_named = parent.session.isinitpath(file_path)
    if not is_named and not _is_below_given(config, file_path):
        return None
    is_complained_about = is_named and not is_anyones
    if not is_candidate(file_path) and not is_complained_about:
        return None
    if session_of(config).settings.task_names and file_path.resolve() not in expanded(config):
        return None
    from pytest_lmms.tasks.yamlfile import kind_of, read_yaml

    try:
        kind = kind_of(read_yaml(file_path.resolve()))
    except LmmsError:
        kind = "task" if is_surely_meant(file_path) else None  # its error is told when it is collected
    if kind == "group" and is_named:
        return GroupFile.from_parent(parent, path=file_path, nodeid=node_id(config, file_path))
    if kind != "task" and not is_complained_about:
        return None
    return TaskFile.from_parent(parent, path=file_path, nodeid=node_id(config, file_path))


def _is_below_given(config: pytest.Config, path: Path) -> bool:
    """Whether a file lies below a folder that the user gave or configured."""
    if config.args_source is not config.ArgsSource.INVOCATION_DIR:
        return True
    folders = session_of(config).settings.task_folders
    return any(path.resolve().is_relative_to(f.resolve()) for f in folders)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Number the selected documents of each task: positions fix the batches."""
    counts: dict[object, int] = {}
    for item in session.items:
        if is_document(item):
            task_file = item.parent
            item.position = counts[task_file] = counts.get(task_file, -1) + 1  # type: ignore[attr-defined]


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Say what `-k` and `-m` left out unopened, and of which tasks the user's settings left no document."""
    lines = []
    if pruned := config.stash.get(PRUNED, []):
        text = f"lmms: {counted(len(pruned), 'task')} ruled out by name, datasets not opened ({_some(pruned)})"
        lines.append(text if items else text + "; no task matches: `pytest --lmms-list tasks` names them all")
    if empty := config.stash.get(EMPTY, []):
        settings = session_of(config).settings
        said = [BY_NAME[n].option for n in ("offset", "limit", "subset", "shard") if n in settings.sources]
        lines.append(f"lmms: nothing is left by {', '.join(said)}: {_some(empty)}" if said else f"lmms: {_some(empty)}")
    is_model_typed = session_of(config).settings.sources.get("model") == BY_NAME["model"].option
    if not items and is_model_typed and _IS_ASKED not in config.stash:
        lines.append(
            "lmms: a model and no task: name some with --lmms-tasks (`pytest --lmms-list tasks`), or a folder of YAMLs"
        )
    return lines


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")


_IS_ASKED = pytest.StashKey[bool]()
"""There once a task or group was found among the arguments, whatever became of its documents."""
