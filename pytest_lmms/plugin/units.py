"""Node ids to what goes out together: of which task an item is, which row, and which items are one batch. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def plan_units(ids: Sequence[str], batch_size: int) -> list[list[int]]:
    """Cut a collection into units that must stay together.

    Args:
        ids: Node ids in collection order.
        batch_size: Documents of one task that share a batch, by position.

    Returns:
        Lists of indices: whole batches of documents, and single ordinary tests.
    """
    units: list[list[int]] = []
    counts: Counter[str] = Counter()
    previous: tuple[str, int] | None = None
    for index, nodeid in enumerate(ids):
        task = task_of(nodeid)
        if task is None:
            units.append([index])
            previous = None
            continue
        group = (task, counts[task] // batch_size)
        counts[task] += 1
        if group == previous:
            units[-1].append(index)
        else:
            units.append([index])
        previous = group
    return units


def task_of(nodeid: str) -> str | None:
    """The task part of a document's id (`path/mme.yaml::mme`); None for an ordinary test."""
    file, _, name = nodeid.partition("::")
    if not file.endswith((".yaml", ".yml")) or not name.endswith("]"):
        return None
    return nodeid[: nodeid.rfind("[")]


def doc_id_of(nodeid: str) -> int:
    """The row number in a document's id."""
    return int(nodeid[nodeid.rfind("[") + 1 : -1].rpartition("-")[2])
