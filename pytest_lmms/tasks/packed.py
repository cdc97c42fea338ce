"""A task's documents and media in one Lance dataset: `dataset_kwargs: {lance: PATH_OR_ADDRESS}`.

A pack has a row for each medium, with the columns of `tools/minerva_to_lance.py`, and a row for each document, whose
column `row` holds it as JSON, media as names. Documents are those that the task saw, after `process_docs`. A Lance
dataset without documents gives media alone; the documents then come from the task's own dataset.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.errors import DatasetError, MediaError, explain
from pytest_lmms.media.lance_blob import LanceBlob
from pytest_lmms.media.packs import Pack
from pytest_lmms.records import MediaRef
from pytest_lmms.tasks.columns import copied, wrapper
from pytest_lmms.tasks.spec import TaskSpec

KEY = "lance"
"""Of `dataset_kwargs`."""
VERSION = "1"
_KEPT_ROWS = 8
"""A row is rendered and hashed shortly after one another: its media are read once for both."""


def pack_of(spec: TaskSpec, path: Path) -> Pack | None:
    """The pack that a task names, unopened; a path beside the YAML is found from any working directory."""
    uri = spec.dataset_kwargs.get(KEY)
    if not uri:
        return None
    beside = path.parent / str(uri)
    return Pack(str(beside) if "://" not in str(uri) and beside.exists() else str(uri))


class PackRows:
    """Documents of a pack; their media are read when they are asked for."""

    def __init__(self, pack: Pack) -> None:
        """Read the documents, not their media."""
        self._pack = pack
        self._rows = [json.loads(text) for text in pack.table.column("row") if text is not None]
        features: dict[str, Any] = json.loads(pack.table.metadata["features"])
        self.columns = list(features)
        self._wrap = {n: w for n, f in features.items() if (w := wrapper(f))}
        self.storage = functools.lru_cache(maxsize=_KEPT_ROWS)(self._read)

    def __len__(self) -> int:
        return len(self._rows)

    def _read(self, index: int) -> Mapping[str, Any]:
        """One row as its dataset stored it."""
        row = self._rows[index]
        names = list(dict.fromkeys(_names_in(row)))
        table = self._pack.table
        data = dict(zip(names, table.read_many([table.index(n) for n in names]), strict=True)) if names else {}
        return {k: _restored(v, data, self._pack.uri) for k, v in row.items()}

    def document(self, index: int) -> dict[str, Any]:
        """One row as task code sees it."""
        row = {k: copied(v) if isinstance(v, (list, dict)) else v for k, v in self.storage(index).items()}
        return {k: self._wrap[k](v) if k in self._wrap else v for k, v in row.items()}

    def column(self, name: str) -> list[Any]:
        """One column's values; media as their names."""
        return [row.get(name) for row in self._rows]


def open_packed(pack: Pack, where: str) -> PackRows | None:
    """The documents of a pack; None when it has media alone.

    Args:
        pack: Unopened.
        where: What names it, for errors.

    Raises:
        DatasetError: It cannot be opened, or was written by another version.
        UsageError: Lance is not installed.
    """
    try:
        metadata = pack.table.metadata
    except MediaError as error:
        raise DatasetError(explain(f"dataset_kwargs: {KEY}: {error}", where=where)) from error
    if "pytest_lmms_pack" not in metadata:
        return None
    if metadata["pytest_lmms_pack"] != VERSION:
        raise DatasetError(
            explain(
                f"a pack of version {metadata['pytest_lmms_pack']}",
                where=pack.uri,
                expected=f"version {VERSION}",
                remedy="write it again: pytest-lmms data pack",
            )
        )
    return PackRows(pack)


def _names_in(value: Any) -> Iterator[str]:
    """Names of the media whose bytes a row needs; a video stays where it is."""
    if isinstance(value, dict):
        if "$medium" in value:
            yield value["$medium"]
        else:
            for v in value.values():
                yield from _names_in(v)
    elif isinstance(value, list):
        for v in value:
            yield from _names_in(v)


def _restored(value: Any, data: Mapping[str, bytes], uri: str) -> Any:
    if isinstance(value, list):
        return [_restored(v, data, uri) for v in value]
    if not isinstance(value, dict):
        return value
    if "$medium" in value:
        return {"bytes": data[value["$medium"]], "path": value["path"]}
    if "$video" in value:
        return MediaRef(kind="video", content=LanceBlob(uri=uri, key=value["$video"]))
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    return {k: _restored(v, data, uri) for k, v in value.items()}
