"""Every error that pytest-lmms raises on purpose.

    LmmsError
    |-- UsageError          the command line, an ini value or a config file asks for something impossible
    |-- TaskError           a task YAML, its functions or its miniature is wrong
    |   `-- DatasetError    the dataset of a task cannot be opened, or lacks what the task reads
    |-- DocumentError       one document cannot be rendered or scored; the run goes on
    |-- MediaError          an image, sound or video cannot be read
    |-- ModelError          an adapter cannot be built, or failed to answer
    |   |-- OutOfMemoryError  the batch did not fit; the engine halves it and goes on
    |   `-- UnansweredError   the run stopped before this request was asked
    `-- StoreError          a run folder or response store is unreadable or of another version

A message says where (``mme.yaml:14``), what was found, what was expected and what to do next. `explain`
builds such a message, so that all of them look alike.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LmmsError(Exception):
    """Base of all errors raised by pytest-lmms."""


class UsageError(LmmsError):
    """The user asked for something that cannot be done; nothing has been run."""


class TaskError(LmmsError):
    """A task YAML, one of its functions or its miniature is wrong."""


class DatasetError(TaskError):
    """A dataset cannot be opened, or lacks a column that the task reads."""


class DocumentError(LmmsError):
    """One document cannot be rendered or scored."""


class MediaError(LmmsError):
    """An image, sound or video cannot be read."""


class ModelError(LmmsError):
    """An adapter cannot be built, or failed to answer."""


class OutOfMemoryError(ModelError):
    """A batch did not fit into the device's memory."""


class UnansweredError(ModelError):
    """The run was stopped before this request was asked."""


class StoreError(LmmsError):
    """A run folder or a response store is unreadable, or of another schema version."""


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, or None when nothing is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


_EXTRAS = {
    "torch": "local", "transformers": "local", "accelerate": "local", "peft": "peft", "bitsandbytes": "bitsandbytes",
    "vllm": "vllm", "sglang": "sglang", "anthropic": "anthropic", "google.genai": "gemini", "litellm": "litellm",
    "lance": "lance", "ray": "ray", "torchcodec": "torchcodec", "decord": "decord", "pypdfium2": "pdf", "s3fs": "s3",
}  # fmt: skip


def install_hint(error: BaseException) -> str | None:
    """Say how to install what could not be imported, where an extra of ours brings it; None for anything else."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    extra = next((e for n, e in _EXTRAS.items() if f"{error.name}.".startswith(f"{n}.")), None)
    return extra and f"pip install 'pytest-lmms[{extra}]'"


def counted(number: int, noun: str) -> str:
    """`1 document`, `1,200 documents`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def explain(
    what: str,
    *,
    where: str | None = None,
    expected: str | None = None,
    suggestion: str | None = None,
    remedy: str | None = None,
) -> str:
    """Build the text of an error.

    Args:
        what: What is wrong, with the offending value.
        where: `file:line`, node id or option name.
        expected: What would have been right.
        suggestion: The known name that was probably meant (see `did_you_mean`).
        remedy: What to type or change next.

    Returns:
        One line, or several with two-space indentation after the first.
    """
    lines = [f"{where}: {what}" if where else what]
    if expected:
        lines.append(f"  expected: {expected}")
    if suggestion:
        lines.append(f"  did you mean: {suggestion}?")
    if remedy:
        lines.append(f"  {remedy}")
    return "\n".join(lines)
