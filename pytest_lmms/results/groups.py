"""Results of groups: metrics of their tasks combined, with pooled errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmms import stats
from pytest_lmms.errors import TaskError, explain
from pytest_lmms.results.codec import plain
from pytest_lmms.tasks.groups import Group, GroupMetric, Override

if TYPE_CHECKING:
    from pytest_lmms.tasks.index import TaskIndex

_COUNTS = ("n_expected", "n_scored", "n_unparsed", "n_filtered", "n_error", "n_unscored", "n_not_run")


@dataclass(frozen=True, kw_only=True)
class GroupTree:
    """A group with its members found: what was selected of it."""

    group: Group
    children: tuple[GroupTree | str, ...]
    """Groups, and names of tasks, in the group's order."""
    num_left_out: int = field(default=0)
    """Tasks of the group that were not selected."""

    @property
    def tasks(self) -> list[str]:
        """All tasks below, each once, in order."""
        found: dict[str, None] = {}
        for child in self.children:
            found |= dict.fromkeys([child] if isinstance(child, str) else child.tasks)
        return list(found)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, GroupTree]]:
        """This group and every group below it, with its depth."""
        yield depth, self
        for child in self.children:
            if isinstance(child, GroupTree):
                yield from child.walk(depth + 1)


def group_results(
    trees: Sequence[GroupTree], results: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]], list[str]]:
    """Combine the results of tasks.

    Args:
        trees: The groups to report.
        results: By task, as `results.json` has them.

    Returns:
        By group: lmms-eval's keys (`alias`, ``"<metric>,<filter>"``, ``"<metric>_stderr,<filter>"``), counts, and
        whether it is complete; by group the names of its members; and complaints of aggregations that failed.
    """
    found: dict[str, dict[str, Any]] = {}
    members: dict[str, list[str]] = {}
    complaints: list[str] = []
    for tree in trees:
        for depth, node in tree.walk():
            group = node.group
            members[group.name] = [c if isinstance(c, str) else c.group.name for c in node.children]
            if group.name in found:
                continue
            below = {name: results[name] for name in node.tasks if name in results}
            is_scored = not any(r.get("n_unscored") for r in below.values())
            entry: dict[str, Any] = {"alias": group.alias or group.name, "depth": depth}
            for metric in group.metrics if is_scored else ():
                for filter_name in metric.filters:
                    try:
                        entry |= _combined(metric, filter_name, below)
                    except TaskError as e:
                        complaints.append(f"group {group.name}: {e}")
            entry |= {key: sum(int(r.get(key, 0)) for r in below.values()) for key in _COUNTS}
            entry["complete"] = not node.num_left_out and all(bool(r.get("complete")) for r in below.values())
            if node.num_left_out:
                entry["tasks_left_out"] = node.num_left_out
            found[group.name] = entry
    return found, members, complaints


def _combined(metric: GroupMetric, filter_name: str, results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One metric over the tasks that have it, and its standard error."""
    key, error_key = f"{metric.metric},{filter_name}", f"{metric.metric}_stderr,{filter_name}"
    having = [r for r in results.values() if isinstance(r.get(key), (int, float))]
    if not having:
        known = sorted({k for r in results.values() for k in r if "," in k and "_stderr" not in k})
        raise TaskError(
            explain(f"no task has the metric {key!r}", expected="one of " + ", ".join(known) if known else None)
        )
    values = [float(r[key]) for r in having]
    sizes = [r["n_scored"] + r["n_unparsed"] + r["n_filtered"] for r in having]
    if metric.aggregation is not None:
        try:
            value = plain(metric.aggregation(values, sizes, metric.weight_by_size))
        except Exception as e:
            raise TaskError(explain(f"the aggregation of {key!r} failed with {type(e).__name__}: {e}")) from e
    else:
        weights = sizes if metric.weight_by_size and any(sizes) else [1] * len(values)
        value = sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
    errors = [r.get(error_key) for r in having]
    numbers = [e if isinstance(e, (int, float)) else None for e in errors]
    pooled = stats.pooled_standard_error(numbers, sizes) if metric.aggregation is None else None
    return {key: value, error_key: "N/A" if pooled is None else pooled}


def find_groups(index: TaskIndex, tasks: Mapping[str, Path], named: Sequence[str]) -> list[GroupTree]:
    """The groups to report on: those that were asked for, and those all of whose tasks were selected.

    Args:
        index: All groups and tasks by name.
        tasks: The selected tasks and the YAMLs they were loaded from.
        named: Groups that the user named; they are reported also if some of their tasks were left out.

    Returns:
        The outermost ones, in the order of `named`, then of the index.
    """
    trees: dict[str, GroupTree] = {}
    for name in dict.fromkeys([*named, *index.groups]):
        group = index.groups.get(name)
        if group is None or (group.changes_members and name not in named):
            continue
        with contextlib.suppress(TaskError):  # told to whoever asks for that group
            list(index.tasks_of_group(group))
            tree = _tree(index, group, tasks)
            if tree.tasks and (name in named or not tree.num_left_out):
                trees[name] = tree
    inner = {node.group.name for tree in trees.values() for depth, node in tree.walk() if depth}
    return [tree for name, tree in trees.items() if name in named or name not in inner]


def _tree(index: TaskIndex, group: Group, tasks: Mapping[str, Path]) -> GroupTree:
    children: list[GroupTree | str] = []
    num_left_out = 0
    for member in group.members:
        inner = member if isinstance(member, Group) else None
        name = member.task if isinstance(member, Override) else member
        if inner is None and name in index.groups and name not in index.tasks:
            inner = index.groups[name]
        if inner is not None:
            below = _tree(index, inner, tasks)
            num_left_out += below.num_left_out
            if below.children:
                children.append(below)
            continue
        for task in index.tasks_of(name):
            if tasks.get(task) in (index.tasks[task], group.path):
                children.append(task)
            else:
                num_left_out += 1
    return GroupTree(group=group, children=tuple(children), num_left_out=num_left_out)
