"""Which documents of a task are asked, beyond offset and limit: a fixed stratified subset, a shard.

Both depend on nothing but the task's name, its rows' strata and row numbers: every machine, worker and run chooses
alike, and a larger subset mostly contains a smaller one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from pytest_lmms.errors import TaskError
from pytest_lmms.tasks.rows import Rows, check_column, select
from pytest_lmms.tasks.spec import TaskSpec

STRATA = (
    "category", "subject", "subfield", "domain", "task", "task_type", "question_type", "type", "sub_category", "topic",
    "difficulty", "source",
)  # fmt: skip
"""Columns that divide a benchmark, the first found is taken where the task's `subset` names none."""
MOST_STRATA = 100


def choose(
    rows: Rows,
    spec: TaskSpec,
    *,
    offset: int,
    limit: float | None,
    subset: int | None = None,
    shard: tuple[int, int] | None = None,
    where: str = "",
) -> Sequence[int]:
    """Row numbers to ask, ascending.

    Args:
        rows: All documents of the task.
        spec: Names strata and what stays together, in `subset`.
        offset: See `rows.select`, as for `limit`.
        limit: See `rows.select`.
        subset: How many of those; None for all.
        shard: (k, n): the k-th of n parts of those, k from 1.
        where: For errors: the task's YAML.

    Raises:
        TaskError: `subset` of the task names a column that its dataset lacks.
    """
    chosen: Sequence[int] = select(len(rows), offset=offset, limit=limit)
    if subset is not None and subset < len(chosen):
        by, together = _columns(rows, spec, where)
        chosen = stratified(
            chosen,
            subset,
            name=spec.task,
            strata=None if by is None else [_hashable(v) for v in values_of(rows, by)],
            together=None if together is None else [_hashable(v) for v in values_of(rows, together)],
        )
    if shard is not None:
        k, n = shard
        chosen = chosen[len(chosen) * (k - 1) // n : len(chosen) * k // n]
    return chosen


def stratified(
    candidates: Sequence[int],
    size: int,
    *,
    name: str,
    strata: Sequence[Hashable] | None = None,
    together: Sequence[Hashable] | None = None,
) -> list[int]:
    """Choose rows such that each stratum has its share.

    Args:
        candidates: Row numbers to choose from.
        size: How many to choose, 1 or more. Where rows stay together, as near as whole units come.
        name: Of the task; other tasks choose other rows.
        strata: The stratum of every row of the dataset; None is one stratum.
        together: The unit of every row of the dataset: all rows of a unit, or none, are chosen.

    Returns:
        Row numbers, ascending.
    """
    units: dict[Hashable, list[int]] = {}
    for row in candidates:
        units.setdefault(row if together is None else together[row], []).append(row)
    by_stratum: dict[Hashable, list[Hashable]] = {}
    for unit, rows in units.items():
        by_stratum.setdefault(None if strata is None else strata[rows[0]], []).append(unit)
    num_units = min(len(units), max(1, round(size * len(units) / len(candidates))))
    exact = {s: num_units * len(members) / len(units) for s, members in by_stratum.items()}
    quota = {s: int(share) for s, share in exact.items()}
    left = sorted(by_stratum, key=lambda s: (quota[s] - exact[s], _order(name, s)))
    for stratum in left[: num_units - sum(quota.values())]:
        quota[stratum] += 1
    taken = [
        row
        for stratum, members in by_stratum.items()
        for unit in sorted(members, key=lambda u: _order(name, u))[: quota[stratum]]
        for row in units[unit]
    ]
    return sorted(taken)


def _columns(rows: Rows, spec: TaskSpec, where: str) -> tuple[str | None, str | None]:
    """The columns that name strata and units."""
    said: Any = spec.subset or {}
    said = said if isinstance(said, Mapping) else {"by": said}
    unknown = said.keys() - {"by", "together"}
    if unknown or not all(isinstance(v, str) for v in said.values()):
        raise TaskError(f"{where}: subset is {spec.subset!r}\n  expected: {{by: COLUMN, together: COLUMN}}, or COLUMN")
    for column in said.values():
        check_column(spec, rows, column, where)
    by, together = said.get("by"), said.get("together")
    if by is None:
        by = next((c for c in STRATA if c in rows.columns and _divides(rows, c)), None)
    return by, together


def _divides(rows: Rows, column: str) -> bool:
    values = values_of(rows, column)
    if not all(isinstance(v, (str, int)) for v in values):
        return False
    return 1 < len(set(values)) <= min(MOST_STRATA, len(values) // 2)


def values_of(rows: Rows, column: str) -> list[Any]:
    """One column of all rows; without reading the others, where the rows know how."""
    read = getattr(rows, "column", None)
    if read is not None:
        return read(column)  # type: ignore[no-any-return]
    return [rows.storage(i).get(column) for i in range(len(rows))]


def _hashable(value: Any) -> Hashable:
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)


def _order(name: str, key: Hashable) -> bytes:
    """A fixed order without pattern."""
    return hashlib.blake2b(f"{name}\0{key!r}".encode(), digest_size=8).digest()
