"""Where the file lies that a row names: below the task's media folder, or beside its miniature.

Task code gives the places where its dataset's archives may have put a file; the first that exists is the one. What a
row says never leads out of these folders. Opens nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_lmms.errors import DocumentError, explain
from pytest_lmms.media.packs import has
from pytest_lmms.media.resolve import OUTSIDE_VARIABLE, ROOT_VARIABLE, hf_home, is_inside
from pytest_lmms.tasks.hub import Choice, below_home
from pytest_lmms.tasks.jsonfiles import strings

_CACHES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", ROOT_VARIABLE)
"""Variables that name folders in which media of datasets lie."""
_MAGIC = re.compile(r"[*?\[{]")


class MissingMediaError(DocumentError):
    """A row names a file that is in none of the places where it may lie."""

    def __init__(self, message: str, expected: Path) -> None:
        super().__init__(message)
        self.expected = expected
        """Where it should be."""


def find_media(folder: str, names: str | Sequence[str], *, beside: str) -> str:
    """Find a file (or a folder of frames) that a row names.

    Args:
        folder: The task's `cache_dir`: absolute, or below HF_HOME.
        names: Paths below it where the file may lie, best first; one that leads out of it is passed over.
        beside: `__file__` of the task's code; its miniature's files are found by their names alone.

    Returns:
        The path of the first that exists; where none does and the task's pack has one, the place where it would lie.

    Raises:
        MissingMediaError: None of them does.
    """
    names = [names] if isinstance(names, str) else [name for name in names if name]
    root, miniature = below_home(folder), Path(beside).parent / "miniature"
    candidates = [
        *(path for name in names if (path := _within(root, name))),
        *(path for name in names if (path := _within(miniature, os.path.basename(name)))),
    ]
    remedy = "bring the dataset's media there, or set HF_HOME to where they are"
    for path in candidates:
        if path.exists():
            if is_inside(str(path), (str(root), str(miniature), hf_home())):
                return str(path)
            remedy = f"{path} is a link that leads out of it: for a dataset that you trust, set {OUTSIDE_VARIABLE}=1"
    expected = candidates[0] if candidates else root
    if has(names):
        return str(expected)
    raise MissingMediaError(
        explain(f"no file {names[0] if names else ''!r}", where=str(root), expected=str(expected), remedy=remedy),
        expected,
    )


def roots_of(choice: Choice) -> tuple[str, ...]:
    """Folders in which a medium may lie that a dataset stores by its path: the caches, and its own files' folders."""
    roots = [hf_home(), *(os.path.expanduser(value) for name in _CACHES if (value := os.environ.get(name, "").strip()))]
    roots += [str(below_home(str(d))) for o in (choice.options, choice.kwargs) if (d := o.get("cache_dir"))]
    if not choice.is_remote:
        named = [*strings(choice.kwargs.get("data_files")), *strings(choice.kwargs.get("data_dir"))]
        for name in named if choice.is_builder else [choice.source, *named]:
            beginning = name[: found.start()] if (found := _MAGIC.search(name)) else name
            roots.append(beginning if os.path.isdir(beginning) else os.path.dirname(beginning) or ".")
    return tuple(dict.fromkeys(roots))


def with_extensions(name: str, extensions: Iterable[str]) -> list[str]:
    """A path with other extensions: ``("clip.mp4", ["mp4", "mkv"])`` gives ``clip.mp4``, ``clip.mkv``.

    Args:
        name: A path, with or without an extension that is among `extensions`; one of its own comes first.
        extensions: Without the dot.
    """
    stem, dot, own = name.rpartition(".")
    known = {e.lower() for e in extensions}
    if not dot or own.lower() not in known:
        return [f"{name}.{e}" for e in extensions]
    return list(dict.fromkeys([name, *(f"{stem}.{e}" for e in extensions)]))


def _within(root: Path, name: str) -> Path | None:
    path = os.path.normpath(os.path.join(root, name))
    return Path(path) if path.startswith(os.path.normpath(root) + os.sep) else None
