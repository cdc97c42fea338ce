"""The documents of a task: a dataset of the Hub or of this disk, or the miniature beside the YAML.

Rows come out with media undecoded: an image column holds a PIL-compatible proxy that reads nothing until somebody
looks at its pixels. Order and count are those of the split after `process_docs`.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import xxhash

from pytest_lmms.errors import DatasetError, DocumentError, did_you_mean, explain
from pytest_lmms.jsonl import dumps
from pytest_lmms.tasks import hub, packed, reopen, snapshots
from pytest_lmms.tasks.columns import copied, wrapper
from pytest_lmms.tasks.frames import failure
from pytest_lmms.tasks.mediafiles import roots_of
from pytest_lmms.tasks.miniature import MediaFile, miniature_path, read_miniature
from pytest_lmms.tasks.rowwise import take_errors
from pytest_lmms.tasks.spec import TaskSpec

DataChoice = Literal["full", "mini"]
CHUNK = 32
"""Rows read at a time; neighbours are asked for next."""
_MEDIUM = frozenset({"bytes", "path"})
"""What `datasets` stores of an image, a sound or a video."""
_PYTHON_SEED, _NUMPY_SEED = 0, 1234
"""lmms-eval's defaults."""


class Rows(Protocol):
    """The documents of one task, in order."""

    columns: list[str]

    def __len__(self) -> int: ...

    def storage(self, index: int) -> Mapping[str, Any]:
        """One row as it is stored: media as bytes or paths."""
        ...

    def document(self, index: int) -> dict[str, Any]:
        """One row as task code sees it: media as lazy proxies."""
        ...


def digest_row(storage: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of a row's canonical JSON, with bytes replaced by their xxh3-128 digests."""
    row = {k: _canonical(v) if isinstance(v, (list, dict)) else v for k, v in storage.items()}
    return hashlib.sha256(dumps(row, sort_keys=True, default=_jsonable)).hexdigest()


def _canonical(value: Any) -> Any:
    """A value with every stored medium as the digest of its bytes, whatever file they once came from."""
    if isinstance(value, dict):
        if value.keys() == _MEDIUM and isinstance(value["bytes"], bytes):
            return value["bytes"]
        return {k: _canonical(v) for k, v in value.items()}
    return [_canonical(v) for v in value] if isinstance(value, list) else value


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": xxhash.xxh3_128_hexdigest(value)}
    if isinstance(value, MediaFile):
        return {"$bytes": value.digest}
    return str(value)


def select(total: int, *, offset: int, limit: float | None) -> range:
    """Row numbers that offset and limit leave of `total`.

    Args:
        total: Number of rows.
        offset: First row, >= 0.
        limit: None or -1 for all; a fraction in (0, 1) of `total`, rounded up; else a count.
    """
    if limit is None or limit < 0:
        stop = total
    elif 0 < limit < 1:
        stop = offset + math.ceil(total * limit)
    else:
        stop = offset + int(limit)
    return range(min(offset, total), min(stop, total))


class ArrowRows:
    """Rows of an Arrow table, read in chunks, media left as stored."""

    def __init__(
        self,
        read: Callable[[int, int], Any],
        length: int,
        features: Mapping[str, Any],
        *,
        column: Callable[[str], list[Any]],
        roots: Sequence[str] | None = None,
    ) -> None:
        """Wrap a table.

        Args:
            read: From first and last (exclusive) row to a `pyarrow.Table` of them.
            column: From a column's name to its values, as stored, without reading other columns.
            length: Number of rows.
            features: Column to feature, as `Features.to_dict()` gives them.
            roots: Folders in which media that are stored by their paths may lie; None: anywhere.
        """
        self._read = read
        self.column = column
        self.features = features
        self._wrap = {n: w for n, f in features.items() if (w := wrapper(f, roots))}
        self.columns = list(features)
        self._lock = threading.Lock()
        self._chunks: dict[int, list[dict[str, Any]]] = {}
        self._length = length

    def __len__(self) -> int:
        return self._length

    def storage(self, index: int) -> Mapping[str, Any]:
        """One row as it is stored; its neighbours are read with it."""
        chunk = index // CHUNK
        with self._lock:
            rows = self._chunks.get(chunk)
            if rows is None:
                start = chunk * CHUNK
                rows = self._read(start, min(start + CHUNK, self._length)).to_pylist()
                while len(self._chunks) >= 8:
                    del self._chunks[next(iter(self._chunks))]
                self._chunks[chunk] = rows
        return rows[index - chunk * CHUNK]

    def document(self, index: int) -> dict[str, Any]:
        """One row as task code sees it."""
        row = {k: copied(v) if isinstance(v, (list, dict)) else v for k, v in self.storage(index).items()}
        for name, wrap in self._wrap.items():
            row[name] = wrap(row[name])
        return row


class DatasetRows(ArrowRows):
    """Rows of a `datasets.Dataset`; one that `process_docs` could not change is an error when it is wanted."""

    def __init__(self, dataset: Any, roots: Sequence[str] | None = None) -> None:
        dataset, self._errors = take_errors(dataset)
        arrow = dataset.with_format("arrow")
        super().__init__(
            lambda start, stop: arrow[start:stop],
            len(dataset),
            dataset.features.to_dict(),
            column=lambda name: dataset.select_columns([name]).with_format("arrow")[:][name].to_pylist(),
            roots=roots,
        )

    def document(self, index: int) -> dict[str, Any]:
        """One row as task code sees it.

        Raises:
            DocumentError: `process_docs` failed on it.
        """
        if index in self._errors:
            raise DocumentError(self._errors[index])
        return super().document(index)


class TableRows(ArrowRows):
    """Rows of a memory-mapped table, opened without `datasets`."""

    def __init__(self, table: reopen.Table, roots: Sequence[str] | None = None) -> None:
        data = table.data
        super().__init__(
            lambda start, stop: data.slice(start, stop - start),
            data.num_rows,
            table.features,
            column=lambda name: data.column(name).to_pylist(),
            roots=roots,
        )


def fewshot_split_of(spec: TaskSpec) -> str | None:
    """The split that few-shot examples come from: the first that the task names of these."""
    return spec.fewshot_split or spec.training_split or spec.validation_split or spec.test_split


def open_rows(
    spec: TaskSpec, path: Path, *, data: DataChoice = "full", where: str | None = None, split: str | None = None
) -> Rows:
    """Open a task's documents.

    Args:
        spec: The task.
        path: Its YAML.
        data: `full` for the dataset, `mini` for the miniature beside the YAML.
        where: For errors; the YAML by default.
        split: Another split than the one that is asked; a miniature has one only.

    Raises:
        DatasetError: It cannot be opened: with the first cause, and what to do.
    """
    where = where or str(path)
    if data == "mini":
        file = miniature_path(spec, path)
        if not file.is_file():
            raise DatasetError(
                explain(
                    f"task {spec.task} has no miniature",
                    where=where,
                    expected=str(file),
                    remedy="ask for the full dataset, or write one",
                )
            )
        rows = read_miniature(file)
        if spec.process_docs is None:
            return rows
        return DatasetRows(_process(spec, rows.to_dataset(), where))
    pack = packed.pack_of(spec, path)
    if pack is not None and split in (None, spec.split):
        packed_rows = packed.open_packed(pack, where)
        if packed_rows is not None:
            return packed_rows
    choice = hub.Choice.of(spec, path, where, split or spec.split)
    if pack is None:
        snapshots.fetch_media(choice)
    if spec.process_docs is None and (table := reopen.find(choice)) is not None:
        return TableRows(table, roots_of(choice))
    began_ns = time.time_ns()
    dataset = hub.load(choice)
    reopen.remember(choice, dataset, began_ns=began_ns)
    return DatasetRows(_process(spec, dataset, where), roots_of(choice))


def _process(spec: TaskSpec, dataset: Any, where: str) -> Any:
    if spec.process_docs is None:
        return dataset
    try:
        with _seeded():
            return spec.process_docs(dataset)
    except Exception as e:
        raise DatasetError(
            explain(
                f"process_docs of task {spec.task} failed with {failure(e)}",
                where=getattr(spec.process_docs, "where", where),
            )
        ) from e


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """Let a task that shuffles its documents give every process the same; others' random numbers go on as before."""
    before = random.getstate()
    numpy = sys.modules.get("numpy")
    numpy_before = numpy.random.get_state() if numpy is not None else None
    random.seed(_PYTHON_SEED)
    if numpy is not None:
        numpy.random.seed(_NUMPY_SEED)
    try:
        yield
    finally:
        random.setstate(before)
        if numpy is not None:
            numpy.random.set_state(numpy_before)


def check_column(spec: TaskSpec, rows: Rows, column: str, where: str) -> None:
    """Raise a `DatasetError` unless the dataset has a column."""
    if column not in rows.columns:
        raise DatasetError(
            explain(
                f"the dataset of task {spec.task} has no column {column!r}",
                where=where,
                expected="one of " + ", ".join(rows.columns),
                suggestion=did_you_mean(column, rows.columns),
            )
        )
