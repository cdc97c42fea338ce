"""The media archives of a dataset, found in a folder: zip, tar, compressed tar, and tars split into parts.

Opens none but for its first bytes (see `unpacking`). Knows no Hub.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_lmms.errors import DatasetError, explain

_NUMBERED = re.compile(r"(?P<base>.*)_(?P<part>\d+)$")
_PART = re.compile(r"[._-](?:part[._-]?(?P<named>\d+|[a-z]{2,4})|(?P<bare>\d+|[a-z]{2}))$")
_COMPRESSIONS = {"": "", ".gz": "gz", ".bz2": "bz2", ".xz": "xz"}
_BLOCK = 512


class Archive(NamedTuple):
    """One archive, in one file or in parts that are joined."""

    name: str
    """Of its first file, for errors."""
    files: tuple[Path, ...]
    kind: str
    """`zip`, `tar`, `gz`, `bz2` or `xz`: a tar, compressed or not."""


def find_archives(folder: Path) -> list[Archive]:
    """The archives in a folder and below it, by name; parts of one are in the order in which they are joined.

    `name.zip`, `name.tar`, `name.tar.gz` (`bz2`, `xz`), `name.tgz`; parts: `name.tar.part-aa`, `name.tar.001`,
    `name.tar.gz.ab`, `name_0.tar`, `name.part_0.tar`. Numbered tars that are complete each are archives of their own.

    Raises:
        DatasetError: A part is missing between the first and the last.
    """
    found: list[Archive] = []
    groups: dict[tuple[str, str, bool], list[tuple[int | str, Path]]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.name
        if name.lower().endswith(".zip"):
            found.append(Archive(name, (path,), "zip"))
            continue
        if name.endswith(".tgz"):
            name = f"{name[:-4]}.tar.gz"
        base, dot, rest = name.partition(".tar")
        if not dot:
            continue
        suffix = next((s for s in (".gz", ".bz2", ".xz") if rest.startswith(s)), "")
        rest = rest[len(suffix) :]
        kind = _COMPRESSIONS[suffix] or "tar"
        if (part := _PART.match(rest)) is not None:
            groups.setdefault((str(path.parent / base), kind, True), []).append((_order(part), path))
        elif not rest and (number := _NUMBERED.match(base)) is not None:
            key = (str(path.parent / number["base"]), kind, False)
            groups.setdefault(key, []).append((int(number["part"]), path))
        elif not rest:
            found.append(Archive(name, (path,), kind))
    for (_, kind, always), parts in groups.items():
        found += _joined(parts, kind, always=always)
    return sorted(found, key=lambda a: a.files)


def _order(part: re.Match[str]) -> int | str:
    text: str = part["named"] or part["bare"]
    return int(text) if text.isdecimal() else text


def _joined(parts: list[tuple[int | str, Path]], kind: str, *, always: bool) -> Iterator[Archive]:
    """Archives of one group: joined parts, split where a complete archive ends and another begins."""
    parts.sort(key=lambda p: (isinstance(p[0], str), p[0]))
    start = 0
    for i in range(1, len(parts) + 1):
        ends = i == len(parts) or (not always and _is_complete(parts[i - 1][1], kind) and _begins(parts[i][1], kind))
        if not ends:
            continue
        one = parts[start:i]
        for (before, _), (after, path) in itertools.pairwise(one):
            if _place(after) != _place(before) + 1:
                raise DatasetError(
                    explain(
                        f"a part is missing before {path.name}: {before} is followed by {after}",
                        where=str(path),
                        remedy="download the dataset again: dataset_kwargs: {force_download: true}",
                    )
                )
        yield Archive(one[0][1].name, tuple(p for _, p in one), kind)
        start = i


def _place(part: int | str) -> int:
    if isinstance(part, int):
        return part
    place = 0
    for letter in part:
        place = place * 26 + ord(letter) - ord("a")
    return place


def _is_complete(path: Path, kind: str) -> bool:
    """Whether a plain tar ends here; of a compressed one only its beginning tells."""
    if kind != "tar":
        return True
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * _BLOCK))
        return not any(file.read())


def _begins(path: Path, kind: str) -> bool:
    with path.open("rb") as file:
        head = file.read(_BLOCK)
    magic = {"gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ"}
    return head[257:262] == b"ustar" if kind == "tar" else head.startswith(magic[kind])
