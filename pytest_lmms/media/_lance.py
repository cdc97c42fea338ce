"""Lance datasets of media: a row's bytes are found by its name and read where they lie.

Names, sizes and other small columns are read once, without touching the pages of bytes; a medium is then one ranged
read, also of a dataset on the Hub (`hf://datasets/OWNER/NAME/PATH`). Lance itself reads HF_TOKEN, HF_ENDPOINT,
LANCE_IO_THREADS and LANCE_CPU_THREADS.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

import lance
import pyarrow as pa

from pytest_lmms.errors import MediaError, UsageError, explain

BLOB = {b"lance-encoding:blob": b"true"}
"""Metadata of a column whose bytes lie by themselves, outside of what a scan reads."""


class LanceTable:
    """A Lance dataset opened for reading, at the version that was the latest then."""

    def __init__(self, uri: str, *, id_column: str, blob_column: str) -> None:
        """Open it and read its names.

        Args:
            uri: A folder, or an address that Lance knows (`hf://`, `s3://`).
            id_column: The column of names.
            blob_column: The column of bytes.

        Raises:
            MediaError: It cannot be opened, or lacks a column.
        """
        self.uri = uri
        self.blob_column = blob_column
        try:
            self.dataset = lance.dataset(uri)
        except (OSError, ValueError) as error:
            raise MediaError(
                explain(
                    f"cannot be opened as a Lance dataset: {_first_line(error)}",
                    where=uri,
                    expected="a folder, or hf://datasets/OWNER/NAME/PATH",
                )
            ) from error
        columns = self.dataset.schema.names
        for column in (id_column, blob_column):
            if column not in columns:
                raise MediaError(explain(f"no column {column!r}", where=uri, expected="one of " + ", ".join(columns)))
        self.metadata: dict[str, str] = {
            k.decode(): v.decode() for k, v in (self.dataset.schema.metadata or {}).items()
        }
        self._indices: dict[str, int] = {}
        self._twice: set[str] = set()
        for index, name in enumerate(self.column(id_column)):
            if name is None:  # a document of a pack
                continue
            if name in self._indices:
                self._twice.add(name)
            self._indices.setdefault(name, index)

    def __contains__(self, name: object) -> bool:
        return name in self._indices

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def names(self) -> Iterable[str]:
        """Of all rows, in their order."""
        return self._indices.keys()

    @functools.cached_property
    def fingerprint(self) -> str:
        """Another for every write, the same for every copy."""
        written: Any = self.dataset.read_transaction(self.dataset.version)
        return str(written.uuid if written is not None else self.dataset.version)

    @functools.cached_property
    def extensions(self) -> list[str | None]:
        """By row, what `video_ext` says; empty without that column."""
        return self.column("video_ext") if "video_ext" in self.dataset.schema.names else []

    def column(self, name: str) -> list[Any]:
        """One column of small values, whole; reads no bytes of media."""
        try:
            return cast("list[Any]", self.dataset.to_table(columns=[name]).column(name).to_pylist())
        except (OSError, ValueError) as error:
            raise self._unreadable(name, error) from error

    def index(self, name: str) -> int:
        """Row number of a name.

        Raises:
            MediaError: There is no row of that name, or more than one.
        """
        if name not in self._indices or name in self._twice:
            count = "several rows" if name in self._twice else "no row"
            raise MediaError(explain(f"{count} named {name!r}", where=self.uri, expected="exactly one"))
        return self._indices[name]

    def open(self, index: int) -> BinaryIO:
        """A row's bytes as a file that reads ranges as they are asked for.

        Raises:
            MediaError: The row has no bytes, or they cannot be reached.
        """
        return self.open_many([index])[0]

    def open_many(self, indices: Sequence[int]) -> list[BinaryIO]:
        """As `open`, of several rows at once."""
        try:
            found = self.dataset.take_blobs(self.blob_column, indices=list(indices))
        except (OSError, ValueError) as error:
            raise self._unreadable(f"rows {list(indices)}", error) from error
        for index, blob in zip(indices, found, strict=True):
            if blob is None or not blob.size():
                raise MediaError(explain(f"row {index} has no bytes", where=f"{self.uri}: {self.blob_column}"))
        return cast("list[BinaryIO]", found)

    def read_many(self, indices: Sequence[int]) -> list[bytes]:
        """The bytes of several rows."""
        try:
            return [blob.read() for blob in self.open_many(indices)]
        except OSError as error:
            raise self._unreadable(f"rows {list(indices)}", error) from error

    def bytes_read(self) -> int:
        """Bytes read from storage since the last call."""
        return int(self.dataset.io_stats_incremental().read_bytes)

    def _unreadable(self, what: str, error: Exception) -> MediaError:
        return MediaError(explain(f"cannot read {what}: {_first_line(error)}", where=self.uri))


@functools.lru_cache(maxsize=64)
def _opened(uri: str, id_column: str, blob_column: str) -> tuple[threading.Lock, list[LanceTable]]:
    return threading.Lock(), []


def open_table(uri: str, id_column: str, blob_column: str) -> LanceTable:
    """Open a dataset once a process; arguments and errors are those of `LanceTable`."""
    lock, tables = _opened(uri, id_column, blob_column)
    with lock:
        if not tables:
            tables.append(LanceTable(uri, id_column=id_column, blob_column=blob_column))
        return tables[0]


def forget() -> None:
    """Let datasets be opened anew."""
    _opened.cache_clear()


def write_table(
    uri: str,
    columns: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
    *,
    metadata: Mapping[str, str] | None = None,
    mode: str = "create",
    rows_per_batch: int = 8,
    bytes_per_batch: int = 64 << 20,
    **options: Any,
) -> LanceWritten:
    """Write rows, a few at a time.

    Args:
        uri: Where.
        columns: Name to type: `string`, `int64`, or `blob` for bytes that lie by themselves.
        rows: By column; a value may be None, and one of a blob may be a function that reads it.
        metadata: Kept with the dataset.
        mode: `create`, `overwrite` or `append`.
        rows_per_batch: Rows in memory at once, at most.
        bytes_per_batch: Bytes of media in memory at once, a single larger one apart.
        options: For `lance.write_dataset`, such as `data_storage_version` and `max_bytes_per_file`.

    Raises:
        UsageError: There is one already, and the mode is `create`; or Lance refuses to write.
    """
    types = {"string": pa.string(), "int64": pa.int64(), "blob": pa.large_binary()}
    fields = [pa.field(n, types[t], metadata=BLOB if t == "blob" else None) for n, t in columns.items()]
    schema = pa.schema(fields, metadata=dict(metadata or {}))
    written = LanceWritten()
    blobs = [name for name, kind in columns.items() if kind == "blob"]
    groups = _groups(rows, blobs, written, max_rows=rows_per_batch, max_bytes=bytes_per_batch)
    batches = (pa.RecordBatch.from_pylist(group, schema=schema) for group in groups)
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    try:
        lance.write_dataset(reader, uri, mode=mode, **options)
    except (OSError, ValueError) as error:
        if written.error is not None:  # what stopped the rows, before Arrow and Lance made it theirs
            raise written.error from error
        raise UsageError(
            explain(f"cannot write: {_first_line(error)}", where=uri, remedy="another place, or mode overwrite")
        ) from error
    return written


class LanceWritten:
    """How much was written."""

    num_rows = 0
    num_bytes = 0
    error: Exception | None = None


def _groups(
    rows: Iterable[Mapping[str, Any]], blobs: Sequence[str], written: LanceWritten, *, max_rows: int, max_bytes: int
) -> Iterator[list[dict[str, Any]]]:
    """Rows with their bytes loaded, as many at once as fit."""
    pending: list[dict[str, Any]] = []
    num_bytes = 0
    try:
        for row in rows:
            loaded = {n: v() if callable(v) else v for n, v in row.items()}
            pending.append(loaded)
            num_bytes += sum(len(loaded.get(n) or b"") for n in blobs)
            written.num_rows += 1
            if len(pending) >= max_rows or num_bytes >= max_bytes:
                written.num_bytes += num_bytes
                yield pending
                pending, num_bytes = [], 0
        written.num_bytes += num_bytes
        if pending:
            yield pending
    except Exception as error:
        written.error = error
        raise


def _first_line(error: Exception) -> str:
    """What went wrong, without the place in Lance's own source."""
    return str(error).splitlines()[0].partition(", /home/")[0][:300] if str(error) else type(error).__name__
