"""All tasks, groups and tags below some folders, by name: what `--lmms-tasks`, `-k` and groups look names up in.

Reads names, not tasks: a file that names a task may still be wrong, which `load` tells when it is asked for. What a
file said last time is kept in a cache, beside its time and size and those of what it includes.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_lmms.errors import TaskError, did_you_mean, explain
from pytest_lmms.tasks.candidates import is_candidate, yaml_files
from pytest_lmms.tasks.groups import Group, Override, build_group
from pytest_lmms.tasks.indexcache import IndexCache, Known
from pytest_lmms.tasks.yamlfile import kind_of, read_merged, read_yaml

_CLIMBS = 2
"""Folders above its own in which a group's members are looked for."""
MOST_REACHED = 10_000
"""Tasks of one group: groups that each name the next one twice would reach billions."""


@dataclass
class TaskIndex:
    """What there is, by name."""

    tasks: dict[str, Path] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    """Also groups that are written inside others; of those with one name the first."""
    tags: dict[str, list[str]] = field(default_factory=dict)
    broken: dict[Path, TaskError] = field(default_factory=dict)
    twice: dict[str, list[Path]] = field(default_factory=dict)
    """Names that several files define, beyond the first file; an error for whoever asks for one of them by name."""

    def groups_of(self, task: str) -> set[str]:
        """Every group and tag that reaches a task, however deep."""
        found = {tag for tag, names in self.tags.items() if task in names}
        grown = True
        while grown:
            grown = False
            for group in self.groups.values():
                if group.name not in found and any(name == task or name in found for name in group.names()):
                    found.add(group.name)
                    grown = True
        return found

    def expand(self, names: list[str], *, where: str = "--lmms-tasks") -> list[Path]:
        """Turn names of tasks, groups and tags, and glob patterns, into files, each once.

        A group that changes its members is given as its own YAML: its tasks are others than those of the same names.

        Raises:
            TaskError: A name that is none of them, or that several files define.
        """
        paths: dict[Path, None] = {}
        for name in names:
            if name in self.groups and name not in self.tasks and self.groups[name].changes_members:
                self._refuse_twice(name, where)
                paths[self.groups[name].path] = None
                continue
            for task in self.tasks_of(name, where=where):
                self._refuse_twice(task, where)
                paths[self.tasks[task]] = None
        return list(paths)

    def _refuse_twice(self, name: str, where: str) -> None:
        if name in self.twice:
            first = self.tasks[name] if name in self.tasks else self.groups[name].path
            raise TaskError(twice_defined(name, [first, *self.twice[name]], where=where))

    def tasks_of(self, name: str, *, where: str = "--lmms-tasks") -> Iterator[str]:
        """Names of the tasks that a name stands for: itself, a group's, a tag's, or those that a pattern matches.

        Raises:
            TaskError: Nothing has that name.
        """
        if name in self.tasks:
            yield name
        elif name in self.groups:
            yield from self.tasks_of_group(self.groups[name])
        elif name in self.tags:
            yield from self.tags[name]
        elif any(c in name for c in "*?[") and (hits := fnmatch.filter(sorted(self.tasks), name)):
            yield from hits
        else:
            raise TaskError(
                explain(
                    f"unknown task {name!r}",
                    where=where,
                    suggestion=did_you_mean(name, [*self.tasks, *self.groups, *self.tags]),
                    remedy="`pytest --lmms-list tasks` names them all",
                )
            )

    def tasks_of_group(self, group: Group, chain: tuple[str, ...] = ()) -> Iterator[str]:
        """Names of all tasks that a group reaches, in its order; a task may come twice.

        Raises:
            TaskError: It names something that nothing has, or reaches itself, or the same tasks again and again.
        """
        for number, name in enumerate(self._reached(group, chain)):
            if number >= MOST_REACHED:
                what = f"it reaches more than {MOST_REACHED:,} tasks, counted as often as they come"
                raise TaskError(explain(what, where=f"group {group.name} ({group.path})", remedy="name no group twice"))
            yield name

    def _reached(self, group: Group, chain: tuple[str, ...]) -> Iterator[str]:
        where = f"group {group.name} ({group.path})"
        if group.name in chain:
            raise TaskError(explain(f"a group within itself: {' -> '.join((*chain, group.name))}", where=where))
        for member in group.members:
            if isinstance(member, Group):
                yield from self._reached(member, (*chain, group.name))
            elif isinstance(member, Override):
                yield from self.tasks_of(member.task, where=where)
            elif member in self.groups and member not in self.tasks:
                yield from self._reached(self.groups[member], (*chain, group.name))
            else:
                yield from self.tasks_of(member, where=where)


def index_tasks(roots: list[Path]) -> TaskIndex:
    """Read every YAML below some folders, by name; broken files are kept aside with their error.

    Args:
        roots: Folders; where two files define one name, the first found has it, and `expand` refuses the name.
    """
    index = TaskIndex()
    seen: set[Path] = set()
    for root in roots:
        root = root.resolve()
        cache = IndexCache(root)
        for path in yaml_files(root):
            if path.is_symlink():
                path = path.resolve()
            if path in seen:
                continue
            seen.add(path)
            try:
                _add(index, path, cache)
            except TaskError as e:
                index.broken[path] = e
        cache.save()
    return index


def index_around(path: Path, *, known: list[Path] | None = None) -> TaskIndex:
    """Index the folder of a group YAML; folders above it, where its members are not below.

    Args:
        path: The group's YAML.
        known: Further folders.
    """
    folder = path.parent
    for _ in range(_CLIMBS):
        index = index_tasks([folder, *(known or [])])
        group = next((g for g in index.groups.values() if g.path == path), None)
        try:
            list(index.tasks_of_group(group) if group is not None else ())
        except TaskError:
            folder = folder.parent
            continue
        return index
    return index_tasks([folder, *(known or [])])


def twice_defined(name: str, paths: list[Path], *, where: str | None = None) -> str:
    """Say that several files define one name."""
    return explain(
        f"task {name!r} is defined twice: in " + " and in ".join(map(str, paths)),
        where=where,
        remedy="rename one of them, or give the file's path instead of the name",
    )


def load_group(path: Path) -> Group:
    """Load a group YAML.

    Raises:
        TaskError: What is wrong with it, with file and line.
    """
    file = read_merged(path)
    return build_group(file.values, path, file.where)


def _add(index: TaskIndex, path: Path, cache: IndexCache) -> None:
    known = cache.get(path)
    if known is None:
        known = _read(path)
        cache.put(path, known)
    if known.kind == "group":
        _add_group(index, load_group(path))
    elif known.kind == "task":
        if known.name in index.tasks:
            index.twice.setdefault(known.name, []).append(path)
            return
        index.tasks[known.name] = path
        for tag in known.tags:
            members = index.tags.setdefault(tag, [])
            if known.name not in members:
                members.append(known.name)


def _add_group(index: TaskIndex, group: Group) -> None:
    for inner in group.inner():
        other = index.groups.setdefault(inner.name, inner)
        if other is not inner and inner is group:
            index.twice.setdefault(group.name, []).append(group.path)


def _read(path: Path) -> Known:
    if not is_candidate(path):
        return Known()
    file = read_yaml(path)
    kind = kind_of(file)
    if kind != "task":
        return Known(kind=kind)
    merged = read_merged(path)
    tags: dict[str, None] = {}
    for key in ("tag", "group"):
        value: Any = merged.values.get(key) or []
        tags |= dict.fromkeys(map(str, [value] if isinstance(value, str) else value))
    return Known(kind=kind, name=file.values["task"], tags=tuple(tags), includes=merged.included)
