"""Which task files a session is about: what `--lmms-tasks`, pasted ids and the command line's paths stand for.

Tasks given by name, and tasks outside the rootdir, get ids of their own, `lmms/<benchmark>/<file>.yaml::task[17]`,
which can be pasted back.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_lmms import catalog
from pytest_lmms.errors import TaskError, UsageError, explain
from pytest_lmms.plugin.session import LmmsSession, session_of
from pytest_lmms.tasks.candidates import SUFFIXES, is_candidate, yaml_files

if TYPE_CHECKING:
    import pytest

    from pytest_lmms.tasks.index import TaskIndex

ID_PREFIX = "lmms/"


def arguments(config: pytest.Config, session: LmmsSession) -> list[str]:
    """The command line's paths, with names and pasted ids turned into paths."""
    args = [resolve_id(config, arg) for arg in config.args]
    names = session.settings.task_names
    if not names:
        return args
    paths = expanded(config)
    if config.args_source is not config.ArgsSource.ARGS:
        return [str(p) for p in paths]
    return args


def resolve_id(config: pytest.Config, arg: str) -> str:
    """Find the file that an id of ours stands for."""
    file, separator, rest = arg.partition("::")
    if not file.startswith(ID_PREFIX) or (config.invocation_params.dir / file).exists():
        return arg
    relative = file[len(ID_PREFIX) :]
    roots = [catalog.folder("benchmarks"), *session_of(config).settings.task_folders]
    for root in roots:
        if (root / relative).is_file():
            return str(root / relative) + separator + rest
    raise UsageError(explain(f"no task file {relative!r}", where=arg, expected="below " + ", ".join(map(str, roots))))


@functools.lru_cache(maxsize=1)
def _cached_index(roots: tuple[Path, ...]) -> TaskIndex:
    from pytest_lmms.tasks.index import index_tasks

    return index_tasks(list(roots))


def task_index(session: LmmsSession, *more: Path) -> TaskIndex:
    """All tasks of the catalogue, of `--lmms-task-paths`, and of further folders; each folder is read once.

    Raises:
        UsageError: A folder of `--lmms-task-paths` does not exist.
    """
    for path in session.settings.task_folders:
        if not path.is_dir():
            raise UsageError(explain(f"no folder {str(path)!r}", where=session.settings.sources.get("task_paths")))
    roots: list[Path] = []
    for path in (catalog.folder("benchmarks"), *session.settings.task_folders, *more):
        path = path.resolve()
        if not any(path.is_relative_to(r) for r in roots):
            roots.append(path)
    return _cached_index(tuple(roots))


def given_index(config: pytest.Config) -> TaskIndex:
    """`task_index`, together with the folders that the command line names."""
    folders = []
    for arg in config.args:
        path = Path(config.invocation_params.dir, arg.partition("::")[0])
        folders += [path] if path.is_dir() else [path.parent] if path.suffix in SUFFIXES else []
    return task_index(session_of(config), *folders)


def expanded(config: pytest.Config) -> list[Path]:
    """The task files that `--lmms-tasks` names; a YAML may be named by its path.

    Raises:
        UsageError: A name that nothing has, or a file that is not there.
    """
    session = session_of(config)
    where = session.settings.sources.get("tasks", "--lmms-tasks")
    files = [n for n in session.settings.task_names if n.endswith(SUFFIXES)]
    names = [n for n in session.settings.task_names if n not in files]
    paths = [Path(config.invocation_params.dir, Path(f).expanduser()).resolve() for f in files]
    for path in paths:
        if not path.is_file():
            raise UsageError(explain("no such file", where=where, expected=f"the YAML of a task: {path}"))
    try:
        return [*(task_index(session).expand(names, where=where) if names else ()), *paths]
    except TaskError as e:
        raise UsageError(str(e)) from e


def named_groups(config: pytest.Config) -> list[str]:
    """The groups that the user asked for, by name or by file."""
    from pytest_lmms.tasks.index import load_group
    from pytest_lmms.tasks.yamlfile import kind_of, read_yaml

    found = [n for n in session_of(config).settings.task_names if n in given_index(config).groups]
    for arg in config.args:
        path = Path(config.invocation_params.dir, arg.partition("::")[0]).resolve()
        if path.suffix in SUFFIXES and path.is_file() and kind_of(read_yaml(path)) == "group":
            found.append(load_group(path).name)
    return found


def may_hold_tasks(config: pytest.Config) -> bool:
    """Whether this session's paths may hold tasks: named YAMLs, or folders with one."""
    settings = session_of(config).settings
    if settings.task_names and config.args_source is not config.ArgsSource.ARGS:
        return True
    if config.args_source is config.ArgsSource.INVOCATION_DIR:
        return bool(settings.task_folders)
    for arg in config.args:
        path = Path(config.invocation_params.dir, arg.partition("::")[0])
        if path.suffix in SUFFIXES:
            return True
        if path.is_dir() and any(map(is_candidate, yaml_files(path, config.getini("norecursedirs")))):
            return True
    return False


def node_id(config: pytest.Config, path: Path) -> str | None:
    """An id for a task file outside the rootdir; None inside, where pytest's own will do."""
    if path.is_relative_to(config.rootpath):
        return None
    roots = [catalog.folder("benchmarks"), *(f.resolve() for f in session_of(config).settings.task_folders)]
    for root in roots:
        if path.is_relative_to(root):
            return ID_PREFIX + path.relative_to(root).as_posix()
    return ID_PREFIX + f"{path.parent.name}/{path.name}"
