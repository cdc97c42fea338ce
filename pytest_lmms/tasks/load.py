"""From a YAML file to tasks. The one door is `load_task`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.errors import TaskError, did_you_mean, explain
from pytest_lmms.tasks.groups import Group, Override
from pytest_lmms.tasks.index import TaskIndex, index_around, load_group
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.spec import build_spec
from pytest_lmms.tasks.yamlfile import kind_of, read_merged, read_yaml


def load_task(path: str | Path) -> Task | list[Task]:
    """Load a YAML: a task's gives the task, a group's gives its tasks.

    Nothing of a task's own code is imported and no dataset is opened. A group's members are looked for in its folder
    and below, then in the two folders above.

    Raises:
        TaskError: With file and line, whatever is wrong with the YAML.
    """
    path = Path(path).resolve()
    if kind_of(read_yaml(path)) == "group":
        return load_members(load_group(path), index_around(path))
    return load_one(path)


def load_one(path: str | Path, changes: Mapping[str, Any] | None = None) -> Task:
    """Load the YAML of one task.

    Args:
        path: The YAML.
        changes: Fields that a group gives it.

    Raises:
        TaskError: With file and line, whatever is wrong with the YAML.
    """
    path = Path(path).resolve()
    file = read_merged(path)
    if kind_of(file) != "task":
        raise TaskError(
            explain(
                "this is not a task",
                where=str(path),
                expected="`task: name` and one of dataset_path, include, output_type, doc_to_*",
            )
        )
    return Task(spec=build_spec({**file.values, **(changes or {})}, where=file.where), path=path, where=file.where)


def load_members(group: Group, index: TaskIndex) -> list[Task]:
    """Load the tasks that a group reaches, each once, with the fields that the group gives them.

    Raises:
        TaskError: A member that nothing has, or that is wrong.
    """
    found: dict[str, Task] = {}
    for name, changes in members_of(group, index):
        if name not in found:
            found[name] = load_one(index.tasks[name], changes)
    return list(found.values())


def members_of(group: Group, index: TaskIndex) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name every task that a group reaches, with the fields that the group and those above it give it.

    Raises:
        TaskError: A member that nothing has.
    """
    where = f"group {group.name} ({group.path})"
    list(index.tasks_of_group(group))  # an unknown name or a cycle is told before anything is loaded
    for member in group.members:
        inner = member if isinstance(member, Group) else None
        name = member.task if isinstance(member, Override) else member if inner is None else group.name
        changes = {**group.fields, **(member.fields if isinstance(member, Override) else {})}
        if inner is None and name in index.groups and name not in index.tasks:
            inner = index.groups[name]
        if inner is not None:
            for task, fields in members_of(inner, index):
                yield task, {**fields, **changes}
        else:
            for task in index.tasks_of(name, where=where):
                yield task, changes


def load_from(path: Path, name: str) -> Task:
    """Load one task by name from its own YAML, or from that of a group that changes it.

    Raises:
        TaskError: The file has no task of that name.
    """
    loaded = load_task(path)
    tasks = loaded if isinstance(loaded, list) else [loaded]
    for task in tasks:
        if task.name == name:
            return task
    raise TaskError(
        explain(f"no task {name!r}", where=str(path), suggestion=did_you_mean(name, [t.name for t in tasks]))
    )
