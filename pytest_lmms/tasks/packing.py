"""Put a task's documents, the media in them and the files that they name into one Lance dataset; see `packed`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.media.kinds import extension_of
from pytest_lmms.tasks.hub import below_home
from pytest_lmms.tasks.miniature import MediaFile
from pytest_lmms.tasks.packed import VERSION
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.rows import DataChoice, select

if TYPE_CHECKING:
    from pytest_lmms.media._lance import LanceWritten

COLUMNS = {
    "video_id": "string",
    "youtube_url": "string",
    "video_ext": "string",
    "video_size_bytes": "int64",
    "video_blob": "blob",
    "row": "string",
}
STORAGE_VERSION = "2.1"
"""Of Lance's files: the first that keeps media apart and that older readers have."""
_STORED = frozenset({"bytes", "path"})


class Packer:
    """Collects what a pack is made of: each medium once, under its name."""

    def __init__(self, where: str) -> None:
        """Begin.

        Args:
            where: The task, for errors.
        """
        self._where = where
        self._digests: dict[str, str] = {}
        self._paths: set[str] = set()

    def document(self, storage: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Rows of the media that a document stores and that are new, then its own."""
        new: list[dict[str, Any]] = []
        row = {k: self._stored(v, new) for k, v in storage.items()}
        yield from new
        try:
            text = json.dumps(row, ensure_ascii=False)
        except TypeError as error:
            raise UsageError(
                explain(f"a document cannot be written as JSON: {error}", where=self._where,
                        expected="texts, numbers, lists, mappings and media")
            ) from error  # fmt: skip
        yield {"row": text}

    def file(self, path: str, root: Path | None) -> Iterator[dict[str, Any]]:
        """A row of a file that a document's messages name, if it is new.

        Args:
            path: The file.
            root: The task's folder of media; the name is relative to it, else the last part of the path.
        """
        if path in self._paths:
            return
        self._paths.add(path)
        inside = root is not None and Path(path).is_relative_to(root)
        name = Path(path).relative_to(root).as_posix() if inside and root is not None else Path(path).name
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise UsageError(explain(f"cannot be read: {error.strerror}", where=path)) from error
        if self._is_new(name, data):
            yield _medium(name, data, Path(path).suffix)

    def _stored(self, value: Any, new: list[dict[str, Any]]) -> Any:
        if isinstance(value, list):
            return [self._stored(v, new) for v in value]
        if isinstance(value, MediaFile):
            self._paths.add(str(value.path))
            name = self._add(value.path.read_bytes(), value.path.suffix, new)
            return {"$video": name} if value.kind == "video" else {"$medium": name, "path": value.path.name}
        if isinstance(value, bytes):
            return {"$bytes": base64.b64encode(value).decode("ascii")}
        if not isinstance(value, Mapping):
            return value
        if value.keys() == _STORED and (value["bytes"] is not None or value["path"]):
            data = value["bytes"]
            if data is None:
                self._paths.add(value["path"])
                data = Path(value["path"]).read_bytes()
            suffix = Path(value["path"] or "").suffix
            return {"$medium": self._add(data, suffix, new), "path": value["path"]}
        return {k: self._stored(v, new) for k, v in value.items()}

    def _add(self, data: bytes, suffix: str, new: list[dict[str, Any]]) -> str:
        name = xxhash.xxh3_128_hexdigest(data)
        if self._is_new(name, data):
            new.append(_medium(name, data, suffix))
        return name

    def _is_new(self, name: str, data: bytes) -> bool:
        digest = xxhash.xxh3_128_hexdigest(data)
        if name not in self._digests:
            self._digests[name] = digest
            return True
        if self._digests[name] != digest:
            raise UsageError(
                explain(f"two different files are named {name!r}", where=self._where,
                        remedy="put the task's media into one folder, and name it by dataset_kwargs: cache_dir")
            )  # fmt: skip
        return False


def _medium(name: str, data: bytes, suffix: str) -> dict[str, Any]:
    extension = suffix.lstrip(".").lower() or extension_of(data)
    return {"video_id": name, "video_ext": extension, "video_size_bytes": len(data), "video_blob": data}


def features_of(rows: Any) -> dict[str, Any]:
    """The features of a task's documents, in their JSON form; of a miniature, of its media columns only."""
    if hasattr(rows, "features"):
        return dict(rows.features)
    media = getattr(rows, "media_columns", {})
    kinds = {"image": {"_type": "Image"}, "audio": {"_type": "Audio"}}
    features: dict[str, Any] = {}
    for name in rows.columns:
        kind = kinds.get(media.get(name, ""))
        many = kind is not None and any(isinstance(rows.storage(i).get(name), list) for i in range(len(rows)))
        features[name] = {"_type": "List", "feature": kind} if many else kind or {"_type": "Value", "dtype": "string"}
    return features


def write_pack(
    task: Task, uri: str, *, data: DataChoice = "full", limit: float | None = None, mode: str = "create"
) -> LanceWritten:
    """Write a task's documents, the media in them, and the files that their first messages name.

    Args:
        task: A `render.Task`.
        uri: Where: a folder, or an address that Lance knows.
        data: `full` or `mini`.
        limit: See `rows.select`.
        mode: `create` or `overwrite`.

    Returns:
        `num_rows` and `num_bytes` of what was written.

    Raises:
        DatasetError: The documents cannot be opened.
        DocumentError: A document's media cannot be found.
        UsageError: Lance is not installed, there is a dataset already, or a document cannot be written.
    """
    try:
        from pytest_lmms.media import _lance
    except ImportError as error:
        raise UsageError(explain(str(error), remedy="pip install 'pytest-lmms[lance]'")) from error
    rows = task.open_rows(data)
    packer = Packer(task.name)
    cache_dir = task.spec.dataset_kwargs.get("cache_dir")
    root = below_home(str(cache_dir)) if cache_dir else None

    def written() -> Iterator[dict[str, Any]]:
        for index in select(len(rows), offset=0, limit=limit):
            yield from packer.document(rows.storage(index))
            for request in task.render(rows, index).requests[:1]:
                for ref in request.media:
                    if ref.path is not None:
                        yield from packer.file(ref.path, root)

    metadata = {"pytest_lmms_pack": VERSION, "task": task.name, "features": json.dumps(features_of(rows))}
    return _lance.write_table(
        uri, COLUMNS, written(), metadata=metadata, mode=mode, data_storage_version=STORAGE_VERSION
    )
