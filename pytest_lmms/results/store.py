"""The run folder: records as they finish, and what is made of them at the end.

    <output_path>/<YYYYMMDD_HHMMSS>_<model>/
      run.json              what was asked for, by which versions, how it ended
      results.json          aggregates
      responses/            what the model said (see `inference.cache`)
      shards/<worker>.jsonl records as they finish, one a line, in the order in which they finished
      samples_<task>.jsonl  records in document order, made from the shards by an atomic rename
      logs/                 what a worker printed

A shard line is handed to the operating system before anybody hears of its record, so a killed process loses at most
what was in its hands. Memory does not grow with the size of records: merging reads places, not texts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pytest_lmms.errors import StoreError, explain
from pytest_lmms.results.shards import Shard, ShardIndex, decode_record, index_shards, read_in_order

SCHEMA_VERSION = 1
_LATER_NS = 1_000_000
"""Between the dates of two runs that a clock would have put into another order."""


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.responses = path / "responses"
        self.shards = path / "shards"
        self.logs = path / "logs"

    def __fspath__(self) -> str:
        return str(self.path)

    def start(self, info: Mapping[str, Any]) -> None:
        """Make the folder and its run.json, unless another worker of this run already has.

        The file is there whole or not at all: half of one, left by a kill or a full disk, could not be gone on with.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.exists:
            value = {"schema_version": SCHEMA_VERSION, "status": "running", **info}
            with _Replacing(self.path / "run.json", replaces=False) as file:
                file.write(json.dumps(value, indent=1).encode() + b"\n")
            self._date_last()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of this machine from deciding about this run meanwhile; a kill ends that, too."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @property
    def exists(self) -> bool:
        """Whether the run has been started."""
        return (self.path / "run.json").is_file()

    def info(self) -> dict[str, Any]:
        """What run.json says.

        Raises:
            StoreError: No run.json, not readable, or of a later schema.
        """
        path = self.path / "run.json"
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as e:
            raise StoreError(explain("no run folder: run.json is missing", where=str(self.path))) from e
        except OSError as e:
            raise StoreError(explain(f"run.json cannot be read: {e.strerror}", where=str(path))) from e
        except (ValueError, RecursionError) as e:
            raise StoreError(explain(f"run.json does not parse: {e}", where=str(path))) from e
        if not isinstance(value, dict):
            raise StoreError(explain("run.json holds no mapping", where=str(path)))
        version = value.get("schema_version")
        if version != SCHEMA_VERSION:
            raise StoreError(
                explain(
                    f"run folder of schema version {version}", where=str(path), expected=f"version {SCHEMA_VERSION}"
                )
            )
        return value

    def update(self, **changes: Any) -> None:
        """Change run.json, atomically."""
        self.write_json("run.json", {**self.info(), **changes})
        self._date_last()

    def _date_last(self) -> None:
        """Date run.json after those of all other runs, which `find_runs` goes by, though a clock was set back."""
        others = [date for path, date in _dates(self.path.parent) if path != self.path]
        with contextlib.suppress(OSError):  # not on every file system
            date = (self.path / "run.json").stat().st_mtime_ns
            if others and date <= max(others):
                os.utime(self.path / "run.json", ns=(max(others) + _LATER_NS,) * 2)

    def write_json(self, name: str, value: Any) -> Path:
        """Write a JSON file, atomically."""
        path = self.path / name
        with _Replacing(path) as file:
            file.write(json.dumps(value, indent=1, ensure_ascii=False, default=str).encode("utf-8", "replace"))
            file.write(b"\n")
        return path

    def shard(self, writer: str) -> Shard:
        """This process's shard."""
        return Shard(self.shards / f"{writer}.jsonl")

    def clear_shards(self) -> None:
        """Forget records of an earlier attempt; its responses stay."""
        for path in self.shards.glob("*.jsonl"):
            path.unlink()

    def clear_unfinished(self) -> None:
        """Remove files that a kill kept from taking their names."""
        for path in self.path.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def merge(self, *, keep_samples: bool, each: Callable[[str, dict[str, Any]], None]) -> ShardIndex:
        """Go through all records in document order, task by task, and write the samples files.

        Args:
            keep_samples: Whether to write `samples_<task>.jsonl`.
            each: Called with task and decoded record, one at a time.
        """
        index = index_shards(self.shards)
        for task, places in index.places.items():
            with contextlib.ExitStack() as stack:
                samples = None
                if keep_samples:
                    samples = stack.enter_context(_Replacing(self.path / f"samples_{file_name(task)}.jsonl"))
                for line in read_in_order(places):
                    value = decode_record(line)
                    if value is None:
                        continue
                    each(task, value)
                    if samples is not None:
                        samples.write(line.partition(b"\t")[2].replace(b"\t", b"\n"))
        return index


class _Replacing:
    """A file that takes its name only when it is complete.

    Args:
        path: The name.
        replaces: Whether it takes the place of another; else the first one stays.
    """

    def __init__(self, path: Path, *, replaces: bool = True) -> None:
        self.path, self.replaces = path, replaces
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def __enter__(self) -> BinaryIO:
        self._file: BinaryIO = self.temporary.open("wb")
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.close()  # writes what is left, for which there may be no room
            if kind is None:
                self._take_name()
        finally:
            with contextlib.suppress(OSError):
                self.temporary.unlink()

    def _take_name(self) -> None:
        if not self.replaces:
            try:
                os.link(self.temporary, self.path)
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                if not self.path.exists():
                    self.temporary.replace(self.path)
        else:
            self.temporary.replace(self.path)


def file_name(text: str) -> str:
    """A name that is safe as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("_") or "unnamed"


def new_run_path(output_path: Path, model: str) -> Path:
    """Name a run folder: time, model, and a suffix that keeps runs of one second apart."""
    stamp = time.strftime("%Y%m%d_%H%M%S")
    return output_path / f"{stamp}_{file_name(model)}_{secrets.token_hex(4)}"


def find_runs(output_path: Path) -> Iterable[RunFolder]:
    """Run folders below a path, newest first: the last one that was begun, gone on with, or ended.

    What is no run folder is passed over.
    """
    for path, _ in sorted(_dates(output_path), key=lambda found: (found[1], found[0].name), reverse=True):
        yield RunFolder(path)


def _dates(output_path: Path) -> Iterator[tuple[Path, int]]:
    """Run folders below a path, each with the date of its run.json in nanoseconds; some may vanish meanwhile."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in output_path.iterdir():
            with contextlib.suppress(OSError):
                yield path, (path / "run.json").stat().st_mtime_ns
