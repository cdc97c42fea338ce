"""Records as Parquet, one file a task: for pandas, DuckDB, Polars, and the Hub's viewer.

A column a field of the samples file. A metric that is a number, or true or false, is a double; what has parts (answers,
token counts, a metric that is a mapping) is JSON text. So the files of all tasks and runs can be read as one table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pytest_lmms.jsonl import dumps, loads

ROWS_AT_ONCE = 1000
_WHOLE = ("doc_id", "num_cached")
_TEXTS = ("doc_hash", "status", "input", "target", "error", "filter")


def write_parquet(run_folder: Path) -> list[Path]:
    """Copy every `samples_<task>.jsonl` of a run folder to `records_<task>.parquet`.

    Memory does not grow with the number of records. A file takes its name when it is complete.

    Returns:
        The files written.
    """
    return [_write(path) for path in sorted(run_folder.glob("samples_*.jsonl"))]


def _write(path: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = path.with_name(path.name.replace("samples_", "records_", 1)).with_suffix(".parquet")
    temporary = target.with_name(f".{target.name}.tmp")
    types = _types(_rows(path))
    kinds = {"text": pa.string(), "number": pa.float64(), "whole": pa.int64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in types.items()])
    rows = _rows(path)
    with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        while chunk := list(islice(rows, ROWS_AT_ONCE)):
            columns = {name: [_cell(row.get(name), kind) for row in chunk] for name, kind in types.items()}
            writer.write_table(pa.table(columns, schema=schema))
    temporary.replace(target)
    return target


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            yield loads(line)


def _types(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The kind of every column, over all rows: a number unless something in it is none."""
    found: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            if name in _WHOLE or name in _TEXTS:
                found[name] = "whole" if name in _WHOLE else "text"
            elif value is not None and (not isinstance(value, (int, float)) or found.get(name) == "text"):
                found[name] = "text"
            else:
                found.setdefault(name, "number")
    return found


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "text":
        return value if isinstance(value, str) else dumps(value).decode()
    return float(value) if kind == "number" else value
