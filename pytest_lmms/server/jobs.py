"""The jobs of a server, in one SQLite file that outlives it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_lmms.errors import StoreError, explain

VERSION = 1
QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED = "queued", "running", "completed", "failed", "cancelled"

_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT,
    completed_at TEXT,
    request TEXT NOT NULL,
    settings TEXT NOT NULL,
    env TEXT NOT NULL,
    secrets TEXT NOT NULL,
    num_devices INTEGER NOT NULL,
    devices TEXT NOT NULL DEFAULT '[]',
    output_dir TEXT,
    error TEXT,
    exit_code INTEGER
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, number);
"""


class NotWrittenError(StoreError):
    """A change that the database did not take: the disk is full, or somebody holds the file."""


@dataclass(frozen=True)
class Job:
    """One job as it is kept; secrets are names only."""

    id: str
    status: str
    created_at: str
    request: Mapping[str, Any]
    settings: Mapping[str, Any]
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    num_devices: int
    started_at: str | None = None
    completed_at: str | None = None
    devices: tuple[str, ...] = ()
    output_dir: str | None = None
    error: str | None = None
    exit_code: int | None = None
    number: int = field(default=0)

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more, unless it is resumed."""
        return self.status not in (QUEUED, RUNNING)


_JSON = ("request", "settings", "env", "secrets", "devices")
_COLUMNS = (
    "number", "id", "status", "created_at", "started_at", "completed_at", "request", "settings", "env", "secrets",
    "num_devices", "devices", "output_dir", "error", "exit_code",
)  # fmt: skip


class JobStore:
    """Jobs by id and in the order of their arrival. One process, one thread."""

    def __init__(self, path: Path) -> None:
        """Open or make the file.

        Raises:
            StoreError: It is no database of ours, or one of another version.
        """
        self.path = path
        self.version = 0
        """Counts the changes made here."""
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")  # a killed process loses nothing; a power cut the last jobs
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                remedy = "give another folder with --data-dir, or use the version that made it"
                text = f"a database of version {version}"
                raise StoreError(explain(text, where=str(path), expected=f"version {VERSION}", remedy=remedy))
            self._db.executescript(_TABLE)
            self._db.execute(f"PRAGMA user_version={VERSION}")
        except sqlite3.DatabaseError as e:
            remedy = "move it away, or give another folder with --data-dir"
            raise StoreError(explain(f"cannot be used: {e}", where=str(path), remedy=remedy)) from e
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, job: Job) -> None:
        """Add a job at the end of the queue."""
        columns = [c for c in _COLUMNS if c != "number"]
        marks = ", ".join("?" * len(columns))
        values = [_stored(c, getattr(job, c)) for c in columns]
        self.version += 1
        with self._writing():
            self._db.execute(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({marks})", values)  # noqa: S608 (ours)

    def change(self, job_id: str, **values: Any) -> None:
        """Set columns of a job."""
        names = ", ".join(f"{name} = ?" for name in values)
        stored = [_stored(name, value) for name, value in values.items()]
        self.version += 1
        with self._writing():
            self._db.execute(f"UPDATE jobs SET {names} WHERE id = ?", [*stored, job_id])  # noqa: S608 (ours)

    def to_the_end(self, job_id: str) -> None:
        """Queue a finished job again, behind all others."""
        self.version += 1
        with self._writing(), self._transaction():
            last = self._db.execute("SELECT MAX(number) FROM jobs").fetchone()[0]
            self._db.execute(
                "UPDATE jobs SET number = ?, status = ?, started_at = NULL, completed_at = NULL, error = NULL, "
                "exit_code = NULL, devices = '[]' WHERE id = ?",
                [last + 1, QUEUED, job_id],
            )

    def get(self, job_id: str) -> Job | None:
        """The job, or None."""
        row = self._db.execute(f"SELECT {', '.join(_COLUMNS)} FROM jobs WHERE id = ?", [job_id]).fetchone()  # noqa: S608
        return None if row is None else _job(row)

    def output_folders(self) -> dict[str, Path]:
        """Where the runs of jobs with an `output_dir` of their own lie, by job."""
        query = "SELECT id, output_dir FROM jobs WHERE output_dir IS NOT NULL AND started_at IS NOT NULL"
        return {job_id: Path(folder) / job_id for job_id, folder in self._db.execute(query)}

    def with_status(self, status: str) -> list[Job]:
        """Jobs in the order of the queue."""
        query = f"SELECT {', '.join(_COLUMNS)} FROM jobs WHERE status = ? ORDER BY number"  # noqa: S608 (ours)
        return [_job(row) for row in self._db.execute(query, [status])]

    def ids(self, status: str) -> list[str]:
        """Ids in the order of the queue."""
        return [r[0] for r in self._db.execute("SELECT id FROM jobs WHERE status = ? ORDER BY number", [status])]

    def count(self, status: str | None = None) -> int:
        """How many there are, of one status or of all."""
        where, values = ("", []) if status is None else (" WHERE status = ?", [status])
        return int(self._db.execute(f"SELECT COUNT(*) FROM jobs{where}", values).fetchone()[0])  # noqa: S608 (ours)

    def position(self, job: Job) -> int:
        """How many wait before it."""
        query = "SELECT COUNT(*) FROM jobs WHERE status = ? AND number < ?"
        return int(self._db.execute(query, [QUEUED, job.number]).fetchone()[0])

    def listed(self, status: str | None, *, limit: int, offset: int) -> list[Job]:
        """The newest jobs first."""
        where, values = ("", []) if status is None else (" WHERE status = ?", [status])
        query = f"SELECT {', '.join(_COLUMNS)} FROM jobs{where} ORDER BY number DESC LIMIT ? OFFSET ?"  # noqa: S608
        return [_job(row) for row in self._db.execute(query, [*values, limit, offset])]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as e:
            remedy = "make room, or end what holds the file; jobs that ended meanwhile are written then"
            raise NotWrittenError(explain(f"cannot be written: {e}", where=str(self.path), remedy=remedy)) from e

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _stored(name: str, value: Any) -> Any:
    return json.dumps(value) if name in _JSON else value


def _job(row: tuple[Any, ...]) -> Job:
    values = dict(zip(_COLUMNS, row, strict=True))
    values.update({name: json.loads(values[name]) for name in _JSON})
    return Job(**{**values, "secrets": tuple(values["secrets"]), "devices": tuple(values["devices"])})
