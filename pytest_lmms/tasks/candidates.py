"""Which YAML files may be tasks or groups: a cheap look that imports no parser."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

SUFFIXES = (".yaml", ".yml")


def _key(names: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"^[\"']?(?:" + names + rb")[\"']?[ \t]*:", re.MULTILINE)


_NAME = _key(rb"task|group")
_SUBSTANCE = _key(rb"dataset_path|include|output_type|process_results|doc_to_\w+|group|metric_list")
_SURELY = _key(rb"dataset_path|output_type|process_results|doc_to_\w+|metric_list")
SKIPPED_FOLDERS = (".*", "*.egg", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}", "__pycache__")
"""Folders that nobody keeps tasks in; pytest's default `norecursedirs` and Python's cache."""


def yaml_files(root: Path, skipped: Sequence[str] = SKIPPED_FOLDERS) -> Iterator[Path]:
    """Every YAML file below a folder, in a fixed order; folders that match a `skipped` pattern are not entered."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not any(fnmatch.fnmatch(f, pattern) for pattern in skipped))
        for name in sorted(files):
            if name.endswith(SUFFIXES):
                yield Path(folder, name)


def is_surely_meant(path: Path) -> bool:
    """Whether a file that does not parse was meant to be a task: it has a field that nothing else has."""
    try:
        return bool(_SURELY.search(path.read_bytes()))
    except OSError:
        return False


def is_candidate(path: Path) -> bool:
    """Whether a file has `task:` or `group:` at a line's start, and another field that only tasks have."""
    if path.suffix not in SUFFIXES:
        return False
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return bool(_NAME.search(text) and _SUBSTANCE.search(text))
