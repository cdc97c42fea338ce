"""Runs jobs, first come first served, on devices that are free; each in a process group of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from pytest_lmms.configfile import to_yaml
from pytest_lmms.errors import UsageError, explain
from pytest_lmms.server import reporting
from pytest_lmms.server.devices import CPU
from pytest_lmms.server.jobfiles import JobFiles, has_scores
from pytest_lmms.server.jobs import CANCELLED, COMPLETED, FAILED, QUEUED, RUNNING, Job, JobStore, NotWrittenError
from pytest_lmms.server.policy import Plan

STOP_SECONDS = 45.0
"""What an interrupted run gets to finish what it has in hand, before it is killed; more than a run gives itself."""
LOCK_SECONDS = 60.0
RETRY_SECONDS = 2.0
"""Between two attempts to write what a full disk did not take."""
STOPPED = "the server stopped while this job ran; what was answered is kept: POST /jobs/{id}/resume goes on"
_GONE = (
    "its secrets were kept in memory only, and the server started again since: start it with {names} in its "
    "environment and resume the job, or send the job again"
)


@dataclass
class _Running:
    job: Job
    task: asyncio.Task[None] | None = None
    process: asyncio.subprocess.Process | None = None
    is_cancelled: bool = False
    kept: list[Any] = field(default_factory=list)


class JobQueue:
    """Jobs, and the devices that they get. Everything happens in one event loop."""

    def __init__(
        self, store: JobStore, folder: Path, *, devices: Sequence[str], task_paths: Sequence[Path] = ()
    ) -> None:
        """Make a queue; `start` sets it going.

        Args:
            store: Where jobs are kept.
            folder: For a folder a job: its config file, log, progress and runs.
            devices: Names for CUDA_VISIBLE_DEVICES, or `cpu`; each has one job at a time.
            task_paths: Folders with tasks beside the catalogue.
        """
        self.store = store
        self.files = JobFiles(folder)
        self.devices = tuple(devices)
        self.task_paths = tuple(task_paths)
        self.free = list(self.devices)
        self.running: dict[str, _Running] = {}
        self._secrets: dict[str, Mapping[str, str]] = {}
        self._lifeline, self._held = os.pipe()
        self._is_closing = False

    # --- what is asked of it --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Mark what an earlier server left running, wait until its processes are gone, and go on with the queue."""
        for job in self.store.with_status(RUNNING):
            await _until_gone(self.files.folder(job.id))
            self._finish(job.id, FAILED, error=STOPPED.format(id=job.id))
        self._start_next()

    async def close(self) -> None:
        """Interrupt what runs and wait for it; the queue stays for the next start."""
        self._is_closing = True
        for running in list(self.running.values()):
            self._interrupt(running)
        tasks = [r.task for r in self.running.values() if r.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS + 10)
        for number in (self._held, self._lifeline):
            with contextlib.suppress(OSError):
                os.close(number)

    def submit(self, plan: Plan, num_devices: int) -> Job:
        """Queue a job.

        Raises:
            UsageError: It wants more devices than there are.
        """
        if num_devices > len(self.devices):
            text = f"a job that wants {num_devices} devices"
            expected = f"num_gpus of at most {len(self.devices)}"
            raise UsageError(explain(text, where="the request, num_gpus", expected=expected))
        job = Job(
            id=uuid.uuid4().hex, status=QUEUED, created_at=_now(), request=plan.request, settings=plan.values,
            env=plan.env, secrets=tuple(plan.secrets), num_devices=num_devices,
            output_dir=None if plan.output_dir is None else str(plan.output_dir),
        )  # fmt: skip
        self.store.add(job)
        self._secrets[job.id] = plan.secrets
        self._start_next()
        return job

    def cancel(self, job: Job) -> None:
        """Take a job out of the queue, or end all its processes."""
        running = self.running.get(job.id)
        if running is None:
            self._finish(job.id, CANCELLED)
            self._start_next()  # those behind it may want fewer devices
            return
        running.is_cancelled = True
        self._interrupt(running)

    def resume(self, job: Job) -> None:
        """Queue a finished job again; what was answered is not asked again."""
        self.store.to_the_end(job.id)
        self._start_next()

    def is_resumable(self, job: Job) -> bool:
        """Whether a finished job has a run to go on with."""
        if job.status not in (FAILED, CANCELLED) or self._lost(job):
            return False
        return job.started_at is None or self.files.run(job) is not None

    # --- running --------------------------------------------------------------------------------------------------

    def _start_next(self) -> None:
        try:
            self._start_what_can()
        except NotWrittenError:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._start_next)

    def _start_what_can(self) -> None:
        """First come, first served: a job that has to wait for devices is not overtaken."""
        for job_id in self.store.ids(QUEUED) if not self._is_closing and self.free else ():
            job = self.store.get(job_id)
            if job is None or len(self.free) < job.num_devices:
                return
            if lost := self._lost(job):
                self._finish(job.id, FAILED, error=_GONE.format(names=", ".join(lost)))
                continue
            devices = self.free[: job.num_devices]
            self.store.change(job.id, status=RUNNING, started_at=_now(), devices=devices)
            del self.free[: job.num_devices]
            running = self.running[job.id] = _Running(job)
            running.task = asyncio.get_running_loop().create_task(self._run(running, devices))

    async def _run(self, running: _Running, devices: list[str]) -> None:
        job = running.job
        try:
            code = await self._run_pytest(running, devices)
            await self._written(partial(self._conclude, running, code))
        except Exception as e:  # noqa: BLE001  (whatever it was, the queue goes on)
            error = f"the job could not be run: {type(e).__name__}: {e}"
            await self._written(partial(self._finish, job.id, FAILED, error=error))
        finally:
            self.free.extend(devices)
            self.free.sort(key=self.devices.index)
            del self.running[job.id]
            self._start_next()

    async def _written(self, write: Callable[[], None]) -> None:
        """Until the disk has room: nobody else knows how the job ended."""
        while True:
            try:
                return write()
            except NotWrittenError:
                if self._is_closing:  # the next start finds it running, and says so
                    return None
            await asyncio.sleep(RETRY_SECONDS)

    async def _run_pytest(self, running: _Running, devices: list[str]) -> int:
        job = running.job
        folder = self.files.folder(job.id)
        folder.mkdir(parents=True, exist_ok=True)
        run = self.files.run(job)
        self.files.progress_path(job.id).unlink(missing_ok=True)
        values = {
            **job.settings,
            "output_path": str(self.files.runs(job)),
            **({"resume": str(run)} if run is not None else {}),
            **({"task_paths": [str(p) for p in self.task_paths]} if self.task_paths else {}),
        }
        config = folder / "job.yaml"
        config.write_text(to_yaml(values, job.env), encoding="utf-8")
        config.chmod(0o600)
        command = [
            sys.executable, "-m", "pytest", f"--lmms-config={config}", f"--rootdir={folder}", "-c", os.devnull,
            "-p", "pytest_lmms.server.reporting", "-p", "no:cacheprovider", "--color=no",
            *(["-n", str(job.num_devices)] if job.num_devices > 1 else []),
        ]  # fmt: skip
        environ = {**os.environ, **self._secrets.get(job.id, {})}
        environ[reporting.FOLDER] = str(folder)
        environ[reporting.LIFELINE] = str(self._lifeline)
        environ["PYTHONUNBUFFERED"] = "1"
        if devices != [CPU]:
            environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        with self.files.log_path(job.id).open("ab") as log:
            running.process = await asyncio.create_subprocess_exec(
                *command, cwd=folder, env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, pass_fds=(self._lifeline,),
            )  # fmt: skip
        if running.is_cancelled or self._is_closing:  # while it was starting
            self._interrupt(running)
        code = await running.process.wait()
        _kill_group(running.process.pid)  # what it left behind must not keep the device
        return code

    def _interrupt(self, running: _Running) -> None:
        """Interrupt as Ctrl-C does; kill what has not ended a while later."""
        process = running.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        asyncio.get_running_loop().call_later(STOP_SECONDS, _kill_unfinished, process)

    def _conclude(self, running: _Running, code: int) -> None:
        job = running.job
        run = self.files.run(job)
        values: dict[str, Any] = {"exit_code": code}
        if running.is_cancelled:
            self._finish(job.id, CANCELLED, **values)
        elif self._is_closing:
            self._finish(job.id, FAILED, error=STOPPED.format(id=job.id), **values)
        elif code in (0, 1) and run is not None and has_scores(run):
            self._finish(job.id, COMPLETED, **values)
        else:
            self._finish(
                job.id, FAILED, error=f"pytest ended with exit code {code}:\n{self.files.log_tail(job.id)}", **values
            )

    def _finish(self, job_id: str, status: str, **values: Any) -> None:
        self.store.change(job_id, status=status, completed_at=_now(), **values)
        if status == COMPLETED:
            self._secrets.pop(job_id, None)

    def _lost(self, job: Job) -> list[str]:
        """Secrets that nobody knows any more."""
        known = self._secrets.get(job.id, {})
        return [name for name in job.secrets if name not in known and name not in os.environ]


async def _until_gone(folder: Path) -> None:
    """Wait for the processes of a job of an earlier server; end them if they do not go by themselves."""
    deadline = time.monotonic() + LOCK_SECONDS
    while folder.is_dir():  # noqa: ASYNC240  (one look at a local folder)
        lock = reporting.hold_lock(folder)
        if lock is not None:
            lock.close()
            return
        if time.monotonic() > deadline:
            with contextlib.suppress(OSError, ValueError):
                os.killpg(int((folder / reporting.LOCK_FILE).read_text(encoding="utf-8")), signal.SIGKILL)
            deadline = float("inf")
        await asyncio.sleep(0.2)


def _kill_unfinished(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        _kill_group(process.pid)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
