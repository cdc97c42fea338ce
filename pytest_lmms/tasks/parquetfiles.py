"""Whether Parquet files of strangers hold about what their size says: `datasets` reads a row group in one piece.

A column that repeats one long value takes next to no room in a file, and its length for each row in memory. A column
that could grow so is looked into before, which takes the memory of its longest value. Those of small files always are,
as sizes that a file tells need not be true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_lmms.errors import DatasetError, explain
from pytest_lmms.tasks.allowance import ALWAYS_BYTES, MAX_RATIO

SMALL_BYTES = 16 << 20
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}
_REPEATING = {"PLAIN_DICTIONARY", "RLE_DICTIONARY", "DELTA_BYTE_ARRAY"}
_NUM_AT_ONCE = 1024
_LOOK_BYTES = 1 << 28
_TAME_BYTES, _TAME_RATIO = 64 << 20, 10


def check(paths: Iterable[Path]) -> None:
    """Look at files.

    Raises:
        DatasetError: A file unpacks to too much; it names file and column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in paths:
        try:
            told = pq.read_metadata(path)
            _check(path, told)
        except (pa.ArrowException, OSError):  # whoever reads it says so
            continue


def _check(path: Path, told: Any) -> None:
    num_packed = path.stat().st_size
    most = max(ALWAYS_BYTES, MAX_RATIO * num_packed)
    total = 0
    for number in range(told.num_row_groups):
        group = told.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            width = _WIDTHS.get(column.physical_type, told.schema.column(place).length)
            total += max(column.total_uncompressed_size, column.num_values * width)
            is_small = num_packed <= SMALL_BYTES
            if total <= most and (is_small or _may_grow(column, most)):
                total += _grown(path, number, column, most, may_guess=not is_small)
            if total > most:
                raise _refused(path, column.path_in_schema, most)


def _may_grow(column: Any, most: int) -> bool:
    """Whether a value that a page holds once may stand in so many rows that they are too much."""
    is_repeating = not _REPEATING.isdisjoint(column.encodings)
    return is_repeating and column.num_values * column.total_uncompressed_size > most


def _grown(path: Path, number: int, column: Any, most: int, *, may_guess: bool) -> int:
    """How many bytes the texts of a column are, counted until there are more than `most`.

    With `may_guess`, 0 for a column whose longest value says that it hardly grows.
    """
    import pyarrow.parquet as pq

    if column.physical_type != "BYTE_ARRAY":
        return 0
    name = column.path_in_schema
    size = 0
    has_dictionary = column.has_dictionary_page
    longest_bytes = max(1, column.total_uncompressed_size)
    num_at_once = _NUM_AT_ONCE if has_dictionary else max(1, min(_NUM_AT_ONCE, _LOOK_BYTES // longest_bytes))
    with pq.ParquetFile(path, read_dictionary=[name] if has_dictionary else None) as file:
        for batch in file.iter_batches(num_at_once, row_groups=[number], columns=[name], use_threads=False):
            for array in _leaves(batch):
                lengths, longest = _lengths(array)
                size += lengths
                is_tame = longest * column.num_values <= max(_TAME_BYTES, _TAME_RATIO * column.total_uncompressed_size)
                if may_guess and has_dictionary and is_tame:
                    return 0
            if size > most:
                break
    return size


def _leaves(array: Any) -> Iterator[Any]:
    """The arrays of values in an array of structures and lists."""
    import pyarrow as pa

    if isinstance(array, pa.RecordBatch):
        for column in array.columns:
            yield from _leaves(column)
    elif pa.types.is_struct(array.type):
        for child in array.flatten():
            yield from _leaves(child)
    elif pa.types.is_nested(array.type):
        yield from _leaves(array.values)
    else:
        yield array


def _lengths(array: Any) -> tuple[int, int]:
    """How many bytes the values of an array are; and the longest one that it knows, which need not be among them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(array.type):
        return array.nbytes, array.nbytes
    lengths = pc.binary_length(array.dictionary)
    longest = pc.max(lengths).as_py() or 0
    return pc.sum(lengths.cast(pa.int64()).take(array.indices)).as_py() or 0, longest


def _refused(path: Path, column: str, most: int) -> DatasetError:
    return DatasetError(
        explain(
            f"column {column} unpacks to more than {MAX_RATIO} times the file's size, and than {most:,} bytes",
            where=str(path),
            expected="a Parquet file whose rows fit into memory",
            remedy="keep a long value that many rows share as a file beside the rows",
        )
    )
