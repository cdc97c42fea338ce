"""For `process_docs` that changes every row by itself: a row on which it fails becomes an error of that document alone.

Knows datasets by what they do; opens none, and knows no task.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from pytest_lmms.tasks.frames import column_hint, failure

ROW_ERROR = "row_error"
"""The column that says what is wrong with a row; task code never sees it."""
Change = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def each_row(dataset: Any, change: Change) -> Any:
    """Change every row of a `datasets.Dataset`; one that cannot be changed stays, and is that document's error.

    Args:
        dataset: What `process_docs` is given.
        change: From a row to the values that it changes, of columns that are there.
    """
    return without_empty(dataset.map(functools.partial(attempt, change)))


def attempt(change: Change, row: Mapping[str, Any], **otherwise: Any) -> dict[str, Any]:
    """What a row's change gives, or `otherwise`; with what went wrong as `ROW_ERROR`, "" for nothing."""
    try:
        return {**change(row), ROW_ERROR: ""}
    except Exception as e:  # noqa: BLE001  (one bad row never sinks another)
        said = f"process_docs failed with {failure(e)}"
        hint = column_hint(e, row)
        return {**otherwise, ROW_ERROR: f"{said}\n  {hint}" if hint else said}


def without_empty(dataset: Any) -> Any:
    """A dataset without the column of errors, where it has none: its rows' digests are those of any other."""
    if ROW_ERROR not in dataset.column_names:  # of no rows
        return dataset
    return dataset if any(dataset[ROW_ERROR]) else dataset.remove_columns(ROW_ERROR)


def take_errors(dataset: Any) -> tuple[Any, dict[int, str]]:
    """A dataset without the column of errors, and what that said, by row."""
    if ROW_ERROR not in dataset.column_names:
        return dataset, {}
    errors = {number: text for number, text in enumerate(dataset[ROW_ERROR]) if text}
    return dataset.remove_columns(ROW_ERROR), errors
