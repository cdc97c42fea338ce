"""What a task's own code makes of the items of all documents, where it fails on some of them: that of the others.

Which they are is tried one by one, and only after a failure. Knows no files and no records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pytest_lmms.errors import counted

SHOWN = 5
"""So many documents that were left out are named."""


class Partial(NamedTuple):
    """What a function gives, and what it took to get it."""

    value: Any
    left_out: list[int]
    """Positions of the items on which the function fails; empty mostly."""
    error: Exception | None
    """Of the function over all items."""


def over_those_it_takes(
    function: Callable[[list[Any]], Any], items: list[Any], *, trial: Callable[[list[Any]], Any] | None = None
) -> Partial:
    """Call a function with all items, or with those on which it does not fail alone.

    Args:
        function: An aggregation, or what gives its sub-scores.
        items: One a document.
        trial: The same without side effects; called with one item at a time.

    Raises:
        Exception: What the function raises, where it fails on each item, on none alone, or on the others too.
    """
    try:
        return Partial(function(items), [], None)
    except Exception as e:
        left_out = [place for place, item in enumerate(items) if _fails(trial or function, item)]
        if not 0 < len(left_out) < len(items):
            raise
        without = set(left_out)
        return Partial(function([item for place, item in enumerate(items) if place not in without]), left_out, e)


def _fails(function: Callable[[list[Any]], Any], item: Any) -> bool:
    try:
        function([item])
    except Exception:  # noqa: BLE001  (a task's own code)
        return True
    return False


def said(documents: Sequence[str]) -> str:
    """Name the documents that were left out."""
    named = ", ".join(documents[:SHOWN])
    more = f" and {len(documents) - SHOWN:,} more" if len(documents) > SHOWN else ""
    return f"left out {counted(len(documents), 'document')} on which it fails alone: {named}{more}"
