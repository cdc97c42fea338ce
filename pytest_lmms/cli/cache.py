"""`pytest-lmms cache`: what is kept between runs, where, how much; and removing it.

Responses lie in run folders and are no cache: nothing here touches them.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

from pytest_lmms.cli.shared import OK, add_json, print_json, print_table


@dataclass(frozen=True)
class Kept:
    """One folder that is made anew when it is missing."""

    path: Path
    what: str

    def size_bytes(self) -> int:
        """Of all files."""
        return sum(p.stat().st_size for p in self.path.rglob("*") if p.is_file()) if self.path.is_dir() else 0


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    add_json(parser)
    names = ("index", "datasets", "lance", "all")
    parser.add_argument("--clear", action="append", metavar="NAME", default=[], choices=names,
                        help="remove one of them, or all; may be given several times")  # fmt: skip
    parser.set_defaults(run=_cache)


def kept() -> dict[str, Kept]:
    """Every cache by name."""
    from pytest_lmms.media.lance_blob import default_cache_dir
    from pytest_lmms.tasks.indexcache import cache_folder
    from pytest_lmms.tasks.reopen import notes_folder

    return {
        "index": Kept(cache_folder() / "index", "names of tasks, by the files that they were read from"),
        "datasets": Kept(notes_folder(), "where the files of opened datasets lie; the files themselves are the Hub's"),
        "lance": Kept(Path(default_cache_dir()), "videos out of Lance datasets, for decoders that need a file"),
    }


def _cache(parsed: argparse.Namespace) -> int:
    found = kept()
    for name in found if "all" in parsed.clear else parsed.clear:
        if found[name].path.is_dir():
            shutil.rmtree(found[name].path)
    if parsed.json:
        print_json([
            {"name": name, "path": str(k.path), "size_bytes": k.size_bytes(), "what": k.what}
            for name, k in found.items()
        ])  # fmt: skip
    else:
        print_table({name: f"{k.size_bytes() / 1e6:8.2f} MB  {k.path}  ({k.what})" for name, k in found.items()})
    return OK
