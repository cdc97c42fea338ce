"""The endpoints. Paths, fields and states are those of lmms-eval's server; its clients work here unchanged."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

from pytest_lmms.errors import LmmsError, StoreError, explain
from pytest_lmms.results.runs import read_run
from pytest_lmms.server.events import events_of, read_log
from pytest_lmms.server.guard import Guard
from pytest_lmms.server.jobs import COMPLETED, FAILED, QUEUED, RUNNING, Job, JobStore, NotWrittenError
from pytest_lmms.server.policy import Policy, allowed_models, plan
from pytest_lmms.server.polls import Polls
from pytest_lmms.server.queue import JobQueue
from pytest_lmms.server.reporting import hold_lock
from pytest_lmms.server.schema import (
    EvaluateRequest,
    Health,
    JobInfo,
    JobList,
    JobSummary,
    Names,
    Problem,
    QueueStatus,
    Status,
    Submitted,
    check_plain,
)
from pytest_lmms.server.ui import add_pages
from pytest_lmms.tasks.index import TaskIndex, index_tasks

RESULT_KEYS = ("results", "groups", "gates", "efficiency", "n-samples", "configs_hash", "counts")
_JOB_PATH = re.compile("/jobs/([0-9a-f]{32})")
JobId = Annotated[str, InPath(max_length=64)]
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem}, 401: {"model": Problem}, 403: {"model": Problem}, 404: {"model": Problem},
    413: {"model": Problem}, 415: {"model": Problem}, 422: {"model": Problem}, 503: {"model": Problem},
    507: {"model": Problem},
}  # fmt: skip


@dataclass(frozen=True)
class ServerSettings:
    """How a server is set up."""

    data_dir: Path
    policy: Policy
    devices: tuple[str, ...]
    task_roots: tuple[Path, ...]
    """Folders with tasks: the catalogue, and those of the owner."""
    token: str | None = None


def make_app(settings: ServerSettings) -> FastAPI:
    """The application; its queue lives as long as it is served.

    Args:
        settings: How it is set up.

    Raises:
        StoreError: Another server uses the folder, or its database cannot be used.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    lock = hold_lock(settings.data_dir)
    if lock is None:
        remedy = "stop it, or give this one another folder with --data-dir"
        raise StoreError(explain("another server uses this folder", where=str(settings.data_dir), remedy=remedy))
    store = JobStore(settings.data_dir / "jobs.sqlite")
    queue = JobQueue(store, settings.data_dir / "jobs", devices=settings.devices, task_paths=settings.task_roots[1:])
    tasks = index_tasks(list(settings.task_roots))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(queue.start())
        yield
        starting.cancel()
        await queue.close()
        store.close()
        lock.close()

    app = FastAPI(title="pytest-lmms", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.queue, app.state.settings, app.state.tasks = queue, settings, tasks
    app.add_middleware(
        Polls, version=lambda: (store.version, *queue.free), watched=lambda path: _files_behind(path, queue)
    )
    app.add_middleware(Guard, token=settings.token)  # around the other: a kept answer is for those who may have it
    app.add_exception_handler(LmmsError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    _add_jobs(app, queue, settings, tasks)
    _add_lists(app, queue, settings, tasks)
    add_pages(app, policy=settings.policy, tasks=tasks, queue=queue, token=settings.token)
    return app


def _add_jobs(app: FastAPI, queue: JobQueue, settings: ServerSettings, tasks: TaskIndex) -> None:
    store = queue.store

    def find(job_id: str) -> Job:
        job = store.get(job_id)
        if job is None:
            raise HTTPException(404, "there is no such job: GET /jobs lists them")
        return job

    @app.post("/evaluate", responses=REFUSALS)
    async def evaluate(request: EvaluateRequest) -> Submitted:
        """Queue a run."""
        if store.count(QUEUED) >= settings.policy.most_queued:
            raise HTTPException(503, "the queue is full: try again later")
        job = queue.submit(plan(request, settings.policy, tasks, os.environ), request.num_gpus)
        job = find(job.id)
        position = store.position(job) if job.status == QUEUED else 0
        return Submitted(
            job_id=job.id, status=_status(job), position_in_queue=position, message=f"GET /jobs/{job.id} tells more"
        )

    @app.get("/jobs", responses=REFUSALS)
    async def jobs(
        status: Status | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> JobList:
        """Jobs, the newest first."""
        found = [_summary(job) for job in store.listed(status, limit=limit, offset=offset)]
        return JobList(jobs=found, total=store.count(status))

    @app.get("/jobs/{job_id}", responses=REFUSALS)
    async def job(job_id: JobId) -> JobInfo:
        """A job: what was asked, how far it is, what came out."""
        return _info(find(job_id), queue)

    @app.delete("/jobs/{job_id}", responses=REFUSALS)
    async def cancel(job_id: JobId) -> JobInfo:
        """Take a job out of the queue, or end all its processes."""
        job = find(job_id)
        if job.is_finished:
            raise HTTPException(400, f"this job is {job.status}: nothing can be cancelled")
        queue.cancel(job)
        return _info(find(job_id), queue)

    @app.post("/jobs/{job_id}/resume", responses=REFUSALS)
    async def resume(job_id: JobId) -> JobInfo:
        """Queue a failed or cancelled job again; what was answered is not asked again."""
        job = find(job_id)
        if not queue.is_resumable(job):
            raise HTTPException(400, f"this job is {job.status} and has nothing to go on with: send it again")
        queue.resume(job)
        return _info(find(job_id), queue)

    @app.get("/jobs/{job_id}/log", responses=REFUSALS, response_class=PlainTextResponse)
    async def log(job_id: JobId, offset: Annotated[int, Query(ge=0, le=2**50)] = 0) -> PlainTextResponse:
        """What pytest printed, from a byte on; `X-Next-Offset` says where to go on."""
        chunk = read_log(queue.files.log_path(find(job_id).id), offset)
        headers = {"X-Next-Offset": str(offset + len(chunk)), "X-Content-Type-Options": "nosniff"}
        return PlainTextResponse(chunk.decode(errors="replace"), headers=headers)

    @app.get("/jobs/{job_id}/events", responses=REFUSALS, response_class=StreamingResponse)
    async def events(job_id: JobId, request: Request) -> StreamingResponse:
        """Server-sent events until the job has ended: `status`, `progress`, `log`."""
        find(job_id)
        return StreamingResponse(
            events_of(job_id, queue, request), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )


def _add_lists(app: FastAPI, queue: JobQueue, settings: ServerSettings, tasks: TaskIndex) -> None:
    store = queue.store

    @app.get("/health")
    async def health() -> Health:
        """Whether the server answers."""
        return Health(timestamp=datetime.now(timezone.utc).isoformat(), queue_size=store.count(QUEUED))

    @app.get("/queue")
    async def queue_status() -> QueueStatus:
        """What runs and what waits."""
        waiting, running = store.ids(QUEUED), store.ids(RUNNING)
        return QueueStatus(
            queue_size=len(waiting), running_job=running[0] if running else None, running_jobs=running,
            queued_jobs=waiting, completed_jobs=store.count(COMPLETED), failed_jobs=store.count(FAILED),
            free_devices=list(queue.free),
        )  # fmt: skip

    @app.get("/tasks", response_model_exclude_none=True)
    async def task_names() -> Names:
        """Names of tasks, groups and tags."""
        return Names(tasks=sorted({*tasks.tasks, *tasks.groups, *tasks.tags}))

    @app.get("/models", response_model_exclude_none=True)
    async def model_names() -> Names:
        """Names of models."""
        return Names(models=allowed_models(settings.policy))

    @app.post("/merge", status_code=501)
    async def merge() -> Problem:
        """Not offered: sharded checkpoints are merged by the trainer that wrote them."""
        return Problem(detail="sharded checkpoints are merged by the trainer that wrote them: evaluate what it merges")


# --- answers ------------------------------------------------------------------------------------------------------


def _status(job: Job) -> Any:
    return job.status


def _summary(job: Job) -> JobSummary:
    return JobSummary(
        job_id=job.id, status=_status(job), model=job.request["model"], tasks=list(job.request["tasks"]),
        created_at=job.created_at, completed_at=job.completed_at,
    )  # fmt: skip


def _info(job: Job, queue: JobQueue) -> JobInfo:
    folder = queue.files.run(job) if job.started_at else None
    result = None
    if job.status == COMPLETED and folder is not None:
        try:
            stored = read_run(folder).results
            result = {key: stored[key] for key in RESULT_KEYS if key in stored}
            check_plain(result)
        except (StoreError, ValueError) as e:
            result = {"unreadable": str(e)}
    return JobInfo(
        job_id=job.id, status=_status(job), created_at=job.created_at, started_at=job.started_at,
        completed_at=job.completed_at, request=dict(job.request), result=result, error=job.error,
        position_in_queue=queue.store.position(job) if job.status == QUEUED else None, devices=list(job.devices),
        progress=queue.files.progress(job.id) if job.started_at else None, exit_code=job.exit_code,
        run_folder=str(folder) if folder else None, view=queue.files.view_key(job) if folder else None,
        is_resumable=queue.is_resumable(job),
    )  # fmt: skip


def _files_behind(path: str, queue: JobQueue) -> tuple[Path, ...] | None:
    """For answers that are kept: a job's, and the queue's."""
    if path == "/queue":
        return ()
    found = _JOB_PATH.fullmatch(path)
    if found is None:
        return None
    job = queue.store.get(found[1])
    return () if job is None else queue.files.behind(job)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=507 if isinstance(error, NotWrittenError) else 422)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Where and what, without what was sent: it may hold a secret."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = [{"loc": list(map(str, e["loc"])), "msg": e["msg"], "type": e["type"]} for e in error.errors()]
    return JSONResponse({"detail": problems}, status_code=422)
