"""The Lance dataset that a task's files are read from, where they do not lie on this disk.

While a task's code runs, its pack is current: a path that it names and that does not exist becomes a reference into
the pack. Knows no task.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pytest_lmms.media.lance_blob import LanceBlob, lance_table
from pytest_lmms.records import MediaRef

if TYPE_CHECKING:
    from pytest_lmms.media._lance import LanceTable


class Pack:
    """Media by name."""

    def __init__(self, uri: str) -> None:
        """Note where it is; nothing is opened."""
        self.uri = uri

    @property
    def table(self) -> LanceTable:
        """The dataset, opened once a process.

        Raises:
            MediaError: It is no Lance dataset of media.
            UsageError: Lance is not installed.
        """
        return lance_table(self.uri)

    @functools.cached_property
    def _short(self) -> dict[str, list[str]]:
        """Names by their last part, with and without extension."""
        short: dict[str, list[str]] = {}
        for name in self.table.names:
            path = PurePosixPath(name)
            for part in {path.name, path.stem}:
                short.setdefault(part, []).append(name)
        return short

    def find(self, names: Iterable[str]) -> LanceBlob | None:
        """The first of some paths that is here.

        Args:
            names: A path is found by its whole name or the longest end of it that is a name here, else by its last
                part, with or without extension, where only one name has that.
        """
        for name in names:
            path = PurePosixPath(name)
            ends = ["/".join(path.parts[i:]) for i in range(len(path.parts))]
            found = next((end for end in ends if end in self.table), None)
            if found is None:
                alike = self._short.get(path.name) or self._short.get(path.stem) or []
                found = alike[0] if len(alike) == 1 else None
            if found is not None:
                return LanceBlob(uri=self.uri, key=found)
        return None


_current: ContextVar[Pack | None] = ContextVar("pytest_lmms_pack", default=None)


@contextmanager
def using(pack: Pack | None) -> Iterator[None]:
    """Make a pack current; None leaves things as they are."""
    if pack is None:
        yield
        return
    token = _current.set(pack)
    try:
        yield
    finally:
        _current.reset(token)


def has(names: Iterable[str]) -> bool:
    """Whether the current pack has one of some files."""
    pack = _current.get()
    return pack is not None and pack.find(names) is not None


def located(ref: MediaRef) -> MediaRef:
    """A reference to a file that does not exist, as one into the current pack where that has it; any other as it is."""
    pack = _current.get()
    if pack is None or ref.path is None or os.path.exists(ref.path):
        return ref
    blob = pack.find([ref.path])
    return ref if blob is None else replace(ref, path=None, content=blob)
