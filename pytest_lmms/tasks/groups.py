"""Groups: names for several tasks, with scores over all of them. A group YAML, or a group written inside one.

Knows what a group's YAML may say; which files its members are is `index`'s business, and arithmetic over results is
`results.groups`'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_lmms.errors import TaskError, did_you_mean, explain
from pytest_lmms.tasks.spec import FIELDS

_OWN_KEYS = ("group", "task", "group_alias", "aggregate_metric_list", "metadata", "tag", "include")
_METRIC_KEYS = ("metric", "aggregation", "weight_by_size", "filter_list")
DEFAULT_FILTER = "none"


@dataclass(frozen=True, kw_only=True)
class GroupMetric:
    """One line of `aggregate_metric_list`: a metric of the members, combined."""

    metric: str
    filters: tuple[str, ...] = (DEFAULT_FILTER,)
    """Names of filters; metric and filter name must match exactly."""
    aggregation: Callable[..., Any] | None = None
    """``function(values, sizes, weight_by_size)``; None for the mean."""
    weight_by_size: bool = False


@dataclass(frozen=True, kw_only=True)
class Override:
    """A member whose YAML fields the group changes."""

    task: str
    fields: Mapping[str, Any]


Member = "str | Group | Override"


@dataclass(frozen=True, kw_only=True)
class Group:
    """One group."""

    name: str
    members: tuple[Any, ...]
    """Names of tasks, groups or tags; groups written in place; and `Override`s."""
    path: Path
    alias: str | None = None
    metrics: tuple[GroupMetric, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Task fields that the group sets for every member."""
    version: Any = None

    @property
    def changes_members(self) -> bool:
        """Whether its members are other tasks than those of the same names elsewhere."""
        return bool(self.fields) or any(
            isinstance(m, Override) or (isinstance(m, Group) and m.changes_members) for m in self.members
        )

    def names(self) -> list[str]:
        """What its members are called, in order."""
        return [m if isinstance(m, str) else m.task if isinstance(m, Override) else m.name for m in self.members]

    def inner(self) -> Iterator[Group]:
        """Itself, and every group written in place below it."""
        yield self
        for member in self.members:
            if isinstance(member, Group):
                yield from member.inner()


def build_group(values: Mapping[str, Any], path: Path, where: Callable[[str], str]) -> Group:
    """Check what a group says.

    Args:
        values: Its YAML's mapping, or the mapping of a group written in place.
        path: The YAML.
        where: Gives `file:line` of a key.

    Raises:
        TaskError: A key or member of another form; the message says which.
    """
    name = values["group"]
    if not isinstance(name, str):
        raise TaskError(explain(f"group is {name!r}", where=where("group"), expected="a name"))
    members = values.get("task")
    members = [members] if isinstance(members, (str, Mapping)) else members
    if not isinstance(members, list) or not members:
        raise TaskError(explain(f"group {name} has no members", where=where("task"), expected="task: a list of names"))
    fields = {k: v for k, v in values.items() if k not in _OWN_KEYS}
    for key in fields:
        if key not in FIELDS:
            raise TaskError(
                explain(
                    f"unknown key {key!r} in group {name}",
                    where=where(key),
                    expected="one of " + ", ".join(_OWN_KEYS) + ", or a task field that all its members get",
                    suggestion=did_you_mean(str(key), (*_OWN_KEYS, *FIELDS)),
                )
            )
    metadata = values.get("metadata")
    return Group(
        name=name,
        members=tuple(_member(m, name, path, where) for m in members),
        path=path,
        alias=values.get("group_alias"),
        metrics=tuple(_metric(m, name, where) for m in _listed(values.get("aggregate_metric_list"))),
        fields=fields,
        version=metadata.get("version") if isinstance(metadata, Mapping) else None,
    )


def _listed(value: Any) -> list[Any]:
    return [] if value is None else [value] if isinstance(value, Mapping) else list(value)


def _member(member: Any, name: str, path: Path, where: Callable[[str], str]) -> Any:
    if isinstance(member, str):
        return member
    if isinstance(member, Mapping) and "group" in member:
        return build_group(member, path, where)
    if isinstance(member, Mapping) and isinstance(member.get("task"), str):
        fields = {k: v for k, v in member.items() if k != "task"}
        return Override(task=member["task"], fields=fields) if fields else member["task"]
    raise TaskError(
        explain(
            f"a member of group {name} is {member!r}",
            where=where("task"),
            expected="a name, {task: name, field: value} or {group: name, task: [...]}",
        )
    )


def _metric(entry: Any, name: str, where: Callable[[str], str]) -> GroupMetric:
    place = where("aggregate_metric_list")
    if not isinstance(entry, Mapping) or not isinstance(entry.get("metric"), str):
        raise TaskError(
            explain(
                f"an entry of aggregate_metric_list of group {name} is {entry!r}",
                where=place,
                expected="{metric: name, aggregation: mean, weight_by_size: false, filter_list: none}",
            )
        )
    for key in entry:
        if key not in _METRIC_KEYS:
            raise TaskError(
                explain(
                    f"unknown key {key!r}",
                    where=place,
                    expected="one of " + ", ".join(_METRIC_KEYS),
                    suggestion=did_you_mean(str(key), _METRIC_KEYS),
                )
            )
    aggregation = entry.get("aggregation", "mean")
    if aggregation != "mean" and not callable(aggregation):
        raise TaskError(explain(f"aggregation {aggregation!r}", where=place, expected="mean, or !function module.name"))
    filters = entry.get("filter_list") or DEFAULT_FILTER
    return GroupMetric(
        metric=entry["metric"],
        filters=(filters,) if isinstance(filters, str) else tuple(map(str, filters)),
        aggregation=None if aggregation == "mean" else aggregation,
        weight_by_size=bool(entry.get("weight_by_size", False)),
    )
