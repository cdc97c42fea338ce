"""Why a dataset cannot be opened: the first cause behind what the libraries raised, and what to do about it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from pytest_lmms.errors import DatasetError, explain

if TYPE_CHECKING:
    from pytest_lmms.tasks.hub import Choice


def empty(choice: Choice) -> DatasetError:
    """The error for a split without rows."""
    return DatasetError(
        explain(
            f"split {choice.split} of the dataset of task {choice.task} ({choice.shown}) is empty", where=choice.where
        )
    )


def says_empty(error: Exception) -> bool:
    """How `datasets` fails on files without rows, and on a slice of a split that selects none."""
    return isinstance(error, StopIteration) or "corresponds to no data" in str(error)


def explained(choice: Choice, error: Exception, *, is_offline: bool) -> DatasetError:
    """The error that a user sees.

    Args:
        choice: The dataset that was to be opened.
        error: What a library raised.
        is_offline: Whether the dataset is remote and the Hub cannot be reached.
    """
    causes = causes_of(error)
    first = causes[-1]
    reason = f"{type(error).__name__}: {_first_line(error)}"
    if first is not error:
        reason += f" (first cause: {type(first).__name__}: {_first_line(first)})"
    statuses = [s for e in causes if (s := getattr(getattr(e, "response", None), "status_code", None))]
    if is_offline:
        reason = "the Hub cannot be reached, and this machine's cache does not have it"
        if not isinstance(error, (ConnectionError, FileNotFoundError)):
            reason += f" ({type(error).__name__}: {str(error)[:200]})"
    return DatasetError(
        explain(
            f"the dataset of task {choice.task} ({choice.shown}) cannot be opened: {reason}",
            where=choice.where,
            remedy=_remedy(choice, causes, statuses),
        )
    )


def causes_of(error: BaseException) -> list[BaseException]:
    """The error, what it came of, and so on to the first; what was raised `from None` came of nothing."""
    causes = [error]
    while True:
        last = causes[-1]
        before = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if before is None or before in causes:
            return causes
        causes.append(before)


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else ""


def _remedy(choice: Choice, causes: list[BaseException], statuses: list[int]) -> str:
    texts = " ".join(str(e) for e in causes)
    if any(isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT) for e in causes):
        return "the disk is full: free space, or set HF_HOME to a larger one; the download goes on where it stopped"
    if "Unknown split" in texts:
        return "correct the split in the YAML"
    if "BuilderConfig" in texts or "Config name is missing" in texts:
        return "correct dataset_name in the YAML"
    if "scripts are no longer supported" in texts:
        return "this dataset needs a loading script, which `datasets` 4 and later do not run; use a copy in Parquet"
    if 401 in statuses or 403 in statuses or "gated" in texts.lower():
        return f"ask for access at the dataset's page ({choice.source}), then set HF_TOKEN or run `hf auth login`"
    if 404 in statuses or any(type(e).__name__ == "DatasetNotFoundError" for e in causes):
        return "correct dataset_path or revision in the YAML; without HF_TOKEN a private dataset looks missing"
    if statuses and max(statuses) >= 500:
        return "the Hub has a fault of its own: try again later; a download goes on where it stopped"
    if choice.is_remote:
        return (
            "go online once, or set HF_HOME to a cache that has it, or try the task on its miniature: --lmms-data mini"
        )
    return f"look at {choice.shown} and at dataset_kwargs; or try the task on its miniature: --lmms-data mini"
