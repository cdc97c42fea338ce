"""Where in a task's own code something went wrong. Knows tracebacks, and nothing of tasks."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = str(Path(__file__).parent.parent) + os.sep
_PYTHON = os.path.dirname(os.__file__) + os.sep


def failure(error: BaseException) -> str:
    """`Type: text (file:line)` of an exception, the same in every process: addresses in memory are left out."""
    return f"{type(error).__name__}: {without_addresses(str(error))} ({task_frame(error)})"


def without_addresses(text: str) -> str:
    """A text in which objects are shown without where they lie in memory."""
    return re.sub(r" at 0x[0-9a-fA-F]{4,}", "", text)


def task_frame(error: BaseException) -> str:
    """`file:line` of the innermost frame of an exception that lies in a task's code, or else of the innermost."""
    frame = blamed_frame(error)
    return "unknown place" if frame is None else f"{frame.filename}:{frame.lineno}"


def blamed_frame(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost frame that lies in a task's code, or else the innermost; None without a traceback."""
    frames = list(traceback.extract_tb(error.__traceback__))
    if not frames:
        return None
    return next((f for f in reversed(frames) if _is_task_code(f.filename)), frames[-1])


def _is_task_code(filename: str) -> bool:
    """Whether a file belongs to neither this package, an installed one, nor Python."""
    if "_catalog" in filename:
        return True
    return not (filename.startswith((_PACKAGE, _PYTHON, "<")) or "/site-packages/" in filename)


def column_hint(error: Exception, columns: Iterable[object]) -> str | None:
    """What columns a document has, when code asked for one that it has not; None for any other error."""
    if isinstance(error, KeyError) or type(error).__name__ == "UndefinedError":  # jinja2's
        return f"the document has the columns {', '.join(map(str, columns))}"
    return None
