"""Which YAML files may be tasks or groups: a cheap look that imports no parser."""

from __future__ import annotations

import re
from pathlib import Path

SUFFIXES = (".yaml", ".yml")
_NAME = re.compile(rb"^(?:task|group)[ \t]*:", re.MULTILINE)
_SUBSTANCE = re.compile(
    rb"^(?:dataset_path|include|output_type|process_results|doc_to_\w+|group|metric_list)[ \t]*:", re.MULTILINE
)


def is_candidate(path: Path) -> bool:
    """Whether a file has `task:` or `group:` at a line's start, and another field that only tasks have."""
    if path.suffix not in SUFFIXES:
        return False
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return bool(_NAME.search(text) and _SUBSTANCE.search(text))
