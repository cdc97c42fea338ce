"""Where the files of jobs lie: config, log and progress in a folder a job, runs there or where the job says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pytest_lmms.errors import StoreError
from pytest_lmms.results.runs import read_run
from pytest_lmms.server import reporting
from pytest_lmms.server.jobs import Job

LOG_TAIL = 2_000
"""Bytes of a log that tell why a job failed."""


class JobFiles:
    """Reads what jobs leave behind; each method takes what may not be there yet."""

    def __init__(self, root: Path) -> None:
        """`root` holds a folder a job."""
        self.root = root

    def folder(self, job_id: str) -> Path:
        """Where a job's own files lie."""
        return self.root / job_id

    def runs(self, job: Job) -> Path:
        """The folder that its run is written into."""
        return Path(job.output_dir) / job.id if job.output_dir else self.folder(job.id) / "runs"

    def run(self, job: Job) -> Path | None:
        """Where its run lies, once pytest has begun it."""
        return max((p.parent for p in self.runs(job).glob("*/run.json")), default=None)

    def view_key(self, job: Job) -> str | None:
        """How the viewer calls its run, once there is one."""
        run = self.run(job)
        if run is None:
            return None
        return f"{job.id}/{run.name}" if job.output_dir else run.relative_to(self.root).as_posix()

    def behind(self, job: Job) -> tuple[Path, ...]:
        """What else than the database says how a job is: files and folders that may not be there yet."""
        if job.started_at is None:
            return ()
        runs = self.runs(job)
        if job.is_finished:
            return tuple(runs.glob("*/results.json"))
        return (self.progress_path(job.id), runs, *runs.glob("*"))

    def progress_path(self, job_id: str) -> Path:
        """What the job's pytest says about how far it is."""
        return self.folder(job_id) / reporting.PROGRESS_FILE

    def progress(self, job_id: str) -> dict[str, Any] | None:
        """How far a job is."""
        try:
            found: dict[str, Any] = json.loads(self.progress_path(job_id).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def log_path(self, job_id: str) -> Path:
        """What pytest printed."""
        return self.folder(job_id) / "log.txt"

    def log_tail(self, job_id: str) -> str:
        """The last of what pytest printed."""
        try:
            with self.log_path(job_id).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL))
                return file.read().decode(errors="replace").strip()
        except OSError:
            return "no log was written"


def has_scores(run: Path) -> bool:
    """Whether a run has ended with a document that counts, or that was answered where nobody wanted scores."""
    try:
        stored = read_run(run)
    except StoreError:
        return False
    counts = stored.results.get("counts") or {}
    return any(counts.get(name) for name in ("n_scored", "n_unparsed", "n_filtered", "n_unscored"))
