"""Records as they finish: lines of a shard, where each lies, and what a samples file says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pytest_lmms.jsonl import LineFile, dumps, loads
from pytest_lmms.records import Record
from pytest_lmms.results.codec import MARK, decode, encode, plain


def encode_record(record: Record) -> bytes:
    r"""A record as one shard line: what aggregation needs, then its rows of the samples file, separated by tabs.

    JSON writes a tab inside a text as ``\t``, so none can be mistaken. Merging reads the first part only and copies
    the others as they are, however long their texts.

    Raises:
        TypeError: A score holds something that cannot be stored.
    """
    value: dict[str, Any] = {"task": record.task, "doc_id": record.doc_id, "status": record.status}
    value["scores"] = encode(record.scores)
    if record.repeat_scores:
        value["repeat_scores"] = encode(record.repeat_scores)
    value["token_counts"] = [t.as_list for t in record.token_counts]
    if record.timings:
        value["timings"] = [
            [t.finished, t.seconds, t.batch_size, t.first_token_seconds, t.seconds_per_token, t.source]
            for t in record.timings
        ]
    if record.num_cached:
        value["num_cached"] = record.num_cached
    if record.flags:
        value["flags"] = record.flags
    if record.error is not None:
        value["error"] = record.error
    return b"\t".join([dumps(value), *(dumps(row) for row in sample_rows(record))]) + b"\n"


def decode_record(line: bytes) -> dict[str, Any] | None:
    """The first part of a shard line, scores as they were; None for a line that a kill cut short, or a note."""
    head = line.partition(b"\t")[0]
    try:
        value = loads(head)
    except ValueError:
        return None
    if not isinstance(value, dict) or "doc_id" not in value:
        return None
    if MARK in head:
        value |= {key: decode(value[key]) for key in ("scores", "repeat_scores") if key in value}
    return value


def sample_rows(record: Record) -> list[dict[str, Any]]:
    """A record as lmms-eval's JSONL rows: one a filter, flattened, deduplicated.

    `resps` is left out where it equals `filtered_resps`. Beyond lmms-eval's fields a row has `status`, and, where
    there is something to say, `filter` (in tasks with several), `error`, `flags`, `timings`, `num_cached`, `rounds` (of
    documents of several rounds) and `repeat_scores` (of documents asked several times).
    """
    target = record.target
    shared: dict[str, Any] = {"doc_hash": record.doc_hash, "status": record.status}
    shared["token_counts"] = [
        None if t.input_tokens is None and t.output_tokens is None and t.reasoning_tokens is None
        else {"input_tokens": t.input_tokens, "output_tokens": t.output_tokens, "reasoning_tokens": t.reasoning_tokens}
        | ({} if t.cached_tokens is None else {"cached_tokens": t.cached_tokens})
        for t in record.token_counts
    ]  # fmt: skip
    if record.error is not None:
        shared["error"] = record.error
    if record.flags:
        shared["flags"] = list(record.flags)
    if record.num_cached:
        shared["num_cached"] = record.num_cached
    if record.rounds:
        shared["rounds"] = plain(record.rounds)
    if record.verdicts:
        shared["verdicts"] = record.verdicts
    if record.timings:
        shared["timings"] = [
            {"finished": t.finished, "seconds": t.seconds, "batch_size": t.batch_size,
             "first_token_seconds": t.first_token_seconds, "seconds_per_token": t.seconds_per_token,
             "source": t.source}
            for t in record.timings
        ]  # fmt: skip
    filters = record.filtered_resps or {"none": []}
    rows = []
    for name, values in filters.items():
        row: dict[str, Any] = {"doc_id": record.doc_id, "input": record.input}
        row["target"] = target if isinstance(target, str) else "" if target is None else str(target)
        answers = plain(values)
        if record.resps != answers:
            row["resps"] = plain(record.resps)
        row["filtered_resps"] = answers
        row |= shared
        if len(filters) > 1:
            row["filter"] = name
        for metric, score in record.scores.get(name, {}).items():
            row.setdefault(metric, plain(score))
        if name in record.repeat_scores:
            row["repeat_scores"] = plain(record.repeat_scores[name])
        rows.append(row)
    return rows


class Shard:
    """One process's records, as they finish."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = LineFile(path)

    def write(self, records: Sequence[Record]) -> Sequence[Record]:
        """Append records and hand them to the operating system together.

        Returns:
            What was written: a record that cannot be stored has become an error that says why.
        """
        written = list(records)
        lines = []
        for i, record in enumerate(written):
            try:
                lines.append(encode_record(record))
            except (TypeError, ValueError, RecursionError) as e:
                written[i] = replace(
                    record, status="error", scores={}, filtered_resps={}, error=f"{record.task}[{record.doc_id}]: {e}"
                )
                lines.append(encode_record(written[i]))
        self._file.write(b"".join(lines))
        return written

    def note(self, **values: Any) -> None:
        """Append something that is no record, e.g. how many documents a task has."""
        self._file.write(dumps({"note": values}) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Place(NamedTuple):
    """Where a record lies."""

    path: Path
    offset: int
    status: str


@dataclass
class ShardIndex:
    """What all shards of a run hold: places of records by task and document, and notes."""

    places: dict[str, dict[int, Place]] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)
    num_duplicates: int = 0
    num_torn: int = 0

    def read(self, place: Place) -> dict[str, Any]:
        """The record at a place."""
        with place.path.open("rb") as file:
            file.seek(place.offset)
            value = decode_record(file.readline())
        assert value is not None  # noqa: S101  (indexed from this very line)
        return value


_HEAD = re.compile(rb'^\{"task":("(?:[^"\\]|\\.)*"),"doc_id":(\d+),"status":"(\w+)"')


def index_shards(folder: Path, *, only: str = "*.jsonl") -> ShardIndex:
    """Read where every record of a run folder's shards lies; of one document the last counts.

    Args:
        folder: `shards` of a run folder.
        only: Pattern of the files to read.
    """
    index = ShardIndex()
    for path in sorted(folder.glob(only)):
        offset = 0
        with path.open("rb") as file:
            for line in file:
                start, offset = offset, offset + len(line)
                head = _HEAD.match(line)
                if head and line.endswith(b"}\n"):
                    places = index.places.setdefault(json.loads(head[1]), {})
                    index.num_duplicates += int(head[2]) in places
                    places[int(head[2])] = Place(path, start, head[3].decode())
                elif line.startswith(b'{"note":') and line.endswith(b"}\n"):
                    try:
                        index.notes.append(json.loads(line)["note"])
                    except (ValueError, RecursionError):
                        index.num_torn += 1
                elif line.strip():
                    index.num_torn += 1
    return index


def read_in_order(places: Mapping[int, Place]) -> Iterator[bytes]:
    """Shard lines in document order. Files stay open; neighbours mostly lie in one file, one behind the other."""
    files: dict[Path, BinaryIO] = {}
    try:
        for doc_id in sorted(places):
            place = places[doc_id]
            file = files.get(place.path)
            if file is None:
                file = files[place.path] = place.path.open("rb")
            if file.tell() != place.offset:
                file.seek(place.offset)
            yield file.readline()
    finally:
        for file in files.values():
            file.close()
