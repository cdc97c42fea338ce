"""What the YAML files of a folder said last time: a file of JSON in the user's cache. Losing it costs time only."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
"""Raised with every change of what is kept."""
MIN_FILES = 64
"""Fewer files are read as fast as a cache."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What one YAML is."""

    kind: str | None = None
    """`task`, `group`, or None."""
    name: str = ""
    """Of a task."""
    tags: tuple[str, ...] = ()
    includes: tuple[Path, ...] = ()
    """Files that decided on it besides its own."""


class IndexCache:
    """Entries by path, each good as long as the files that decided on it have the same time and size."""

    def __init__(self, root: Path) -> None:
        """Open the cache of one folder.

        Args:
            root: Absolute.
        """
        digest = hashlib.blake2b(str(root).encode(), digest_size=12).hexdigest()
        self._path = cache_folder() / "index" / f"{digest}.json"
        self._entries: dict[str, list[Any]] = {}
        self._stamps: dict[str, list[int] | None] = {}
        self._fresh: dict[str, list[Any]] = {}
        self._is_changed = False
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads(self._path.read_bytes())
            if isinstance(kept, dict) and kept.get("format") == FORMAT and isinstance(kept.get("entries"), dict):
                self._entries = kept["entries"]

    def get(self, path: Path) -> Known | None:
        """What a file is; None when it is not known, or has changed."""
        key = str(path)
        entry = self._entries.get(key)
        if entry is None:
            return None
        try:
            kind, name, tags, stamps = entry
            if not stamps or any(self._stamp(file) != stamp for file, stamp in stamps.items()):
                return None
            self._fresh[key] = entry
            return Known(kind=kind, name=name, tags=tuple(tags))
        except (TypeError, ValueError, AttributeError):
            return None

    def put(self, path: Path, known: Known) -> None:
        """Keep what a file is."""
        stamps = {str(p): self._stamp(str(p)) for p in (path, *known.includes)}
        if None not in stamps.values():
            self._fresh[str(path)] = [known.kind, known.name, known.tags, stamps]
            self._is_changed = True

    def save(self) -> None:
        """Write what `get` and `put` have seen, if that is news; a place that cannot be written is left alone."""
        if len(self._fresh) < MIN_FILES or (not self._is_changed and len(self._fresh) == len(self._entries)):
            return
        temporary = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"format": FORMAT, "entries": self._fresh}), encoding="utf-8")
            temporary.replace(self._path)

    def _stamp(self, path: str) -> list[int] | None:
        if path not in self._stamps:
            try:
                stat = os.stat(path)
                self._stamps[path] = [stat.st_mtime_ns, stat.st_size]
            except OSError:
                self._stamps[path] = None
        return self._stamps[path]


def cache_folder() -> Path:
    """Where this user's caches of ours are: `$XDG_CACHE_HOME/pytest-lmms`, else `~/.cache/pytest-lmms`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or os.path.expanduser("~/.cache"), "pytest-lmms")
