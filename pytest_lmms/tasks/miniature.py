"""The miniature of a task: a few made-up rows beside its YAML, so that every task runs offline."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xxhash

from pytest_lmms.errors import DatasetError, explain
from pytest_lmms.media.image import LazyImage
from pytest_lmms.media.lazy_audio import LazyAudio
from pytest_lmms.tasks.spec import TaskSpec


class MediaFile:
    """A media file beside a miniature: `{"$image": "scene.png"}`."""

    __slots__ = ("kind", "path")

    def __init__(self, kind: str, path: Path) -> None:
        self.kind = kind
        self.path = path

    @property
    def digest(self) -> str:
        """xxh3-128 of the file's bytes, in hex."""
        return _file_digest(self.path)

    def open(self) -> Any:
        """The medium as task code sees it, unread."""
        if self.kind == "image":
            return LazyImage.from_path(str(self.path))
        if self.kind == "audio":
            return LazyAudio(None, str(self.path))
        return str(self.path)


@functools.lru_cache(maxsize=4096)
def _file_digest(path: Path) -> str:
    return xxhash.xxh3_128_hexdigest(path.read_bytes())


class ListRows:
    """Rows held in memory."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], media_columns: Mapping[str, str] | None = None) -> None:
        self._rows = rows
        self.columns = list(dict.fromkeys(k for row in rows for k in row))
        self.media_columns = dict(media_columns or {})

    def __len__(self) -> int:
        return len(self._rows)

    def storage(self, index: int) -> Mapping[str, Any]:
        """One row as it is stored."""
        return self._rows[index]

    def document(self, index: int) -> dict[str, Any]:
        """One row as task code sees it."""
        return {k: _open_media(v) for k, v in self._rows[index].items()}

    def to_dataset(self) -> Any:
        """The rows as a `datasets.Dataset`, for `process_docs`."""
        import datasets
        from datasets.fingerprint import generate_random_fingerprint
        from datasets.table import InMemoryTable, table_cast

        def plain(value: Any) -> Any:
            if isinstance(value, MediaFile):
                if value.kind == "video":
                    return str(value.path)
                return {"bytes": value.path.read_bytes(), "path": value.path.name}
            if isinstance(value, list):
                return [plain(v) for v in value]
            return value

        table = InMemoryTable.from_pydict({c: [plain(row.get(c)) for row in self._rows] for c in self.columns})
        kinds = {"image": datasets.Image(), "audio": datasets.Audio()}
        features = datasets.Features.from_arrow_schema(table.schema)
        for column, kind in self.media_columns.items():
            if kind in kinds and column in features:
                many = any(isinstance(row.get(column), list) for row in self._rows)
                features[column] = datasets.List(kinds[kind]) if many else kinds[kind]
        info = datasets.DatasetInfo(features=features)
        # One of its own: to work out that of the rows takes longer than all else here, and nothing is cached by it.
        fingerprint = generate_random_fingerprint()
        return datasets.Dataset(table_cast(table, features.arrow_schema), info=info, fingerprint=fingerprint)


def _open_media(value: Any) -> Any:
    if isinstance(value, MediaFile):
        return value.open()
    if isinstance(value, list):
        return [_open_media(v) for v in value]
    if isinstance(value, dict):
        return {k: _open_media(v) for k, v in value.items()}
    return value


def miniature_path(spec: TaskSpec, path: Path) -> Path:
    """Where the miniature of a task is kept."""
    return path.parent / "miniature" / f"{spec.task}.jsonl"


def read_miniature(path: Path) -> ListRows:
    """Read a miniature: JSON lines; `{"$image": "file.png"}` stands for a medium beside the file.

    An optional first line ``{"$features": {"image_2": "image"}}`` names media columns that may be null.

    Raises:
        DatasetError: With file and line, a line that is no JSON object, or a medium that is not there.
    """
    rows: list[dict[str, Any]] = []
    media: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise DatasetError(explain(f"no JSON: {e}", where=f"{path}:{number}")) from e
        if not isinstance(row, dict):
            raise DatasetError(explain("no JSON object", where=f"{path}:{number}"))
        if "$features" in row:
            media |= _features(row["$features"], f"{path}:{number}")
            continue
        opened = {k: _read_value(v, path, number) for k, v in row.items()}
        for key, value in opened.items():
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(first, MediaFile):
                media[key] = first.kind
        rows.append(opened)
    return ListRows(rows, media)


def _features(value: Any, where: str) -> dict[str, str]:
    if isinstance(value, dict) and all(kind in ("image", "audio", "video") for kind in value.values()):
        return value
    expected = '{"column": "image", "audio" or "video"}'
    raise DatasetError(explain(f"$features is {value!r}", where=where, expected=expected))


def _read_value(value: Any, path: Path, number: int) -> Any:
    if isinstance(value, list):
        return [_read_value(v, path, number) for v in value]
    if isinstance(value, dict):
        key = next(iter(value), "")
        if len(value) == 1 and key in ("$image", "$audio", "$video"):
            file = path.parent / str(value[key])
            if not file.is_file():
                raise DatasetError(explain(f"no file {value[key]!r}", where=f"{path}:{number}"))
            return MediaFile(key[1:], file)
        return {k: _read_value(v, path, number) for k, v in value.items()}
    return value
