"""Print what CHANGELOG.md says of a release: `python tools/release_notes.py 1.2.3`.

It stops a release whose changes nobody moved into the changelog: files left in changelog.d, or no part of that name.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def release_notes(root: Path, version: str) -> str:
    """The part of CHANGELOG.md under a version, without its heading.

    Raises:
        ValueError: Changes wait in changelog.d, or the changelog has no such part.
    """
    waiting = sorted(p.name for p in (root / "changelog.d").glob("*.*.md"))
    if waiting:
        raise ValueError(
            f"changelog.d still holds {', '.join(waiting)}: run make changelog VERSION={version} and commit"
        )
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    parts = re.split(r"^## \[([^\]]+)\].*\n", text, flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True)).get(version, "").strip()
    if not found:
        raise ValueError(
            f"CHANGELOG.md says nothing below [{version}]: run make changelog VERSION={version} and commit"
        )
    return found


if __name__ == "__main__":
    try:
        print(release_notes(ROOT, sys.argv[1]))
    except ValueError as e:
        sys.exit(str(e))
