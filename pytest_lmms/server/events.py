"""News of a job as a stream of server-sent events, and the pieces of its log."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request

    from pytest_lmms.server.queue import JobQueue

EVENT_SECONDS = 0.25
"""How often a stream looks for news."""
DISCONNECT_TICKS = 8
"""Looks of a stream between two at whether anybody still reads it."""
LOG_BYTES = 64_000
"""Of a log, in one event or answer."""


async def events_of(job_id: str, queue: JobQueue, request: Request) -> AsyncIterator[str]:
    """The log from its beginning, then what is new, until the job has ended or nobody reads any more.

    Yields:
        Server-sent events: `status`, `progress`, `log`, each with JSON.
    """
    log, progress_file = queue.files.log_path(job_id), queue.files.progress_path(job_id)
    offset, told, seen = 0, {"status": "", "progress": ""}, None
    for tick in itertools.count():
        if tick % DISCONNECT_TICKS == 0 and await request.is_disconnected():
            return
        now = (queue.store.version, _stamp(log), _stamp(progress_file))  # before it is read: what comes later is news
        if now == seen:
            await asyncio.sleep(EVENT_SECONDS)
            continue
        seen = now
        job = queue.store.get(job_id)
        if job is None:
            return
        news = {
            "status": {"status": job.status, "error": job.error, "exit_code": job.exit_code},
            "progress": queue.files.progress(job_id) if job.started_at else None,
        }
        while chunk := read_log(log, offset):
            offset += len(chunk)
            yield _event("log", {"text": chunk.decode(errors="replace"), "next_offset": offset})
        for name, value in news.items():
            text = json.dumps(value)
            if value is not None and text != told[name]:
                told[name] = text
                yield _event(name, value)
        if job.is_finished:
            return
        await asyncio.sleep(EVENT_SECONDS)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Another value once a file has changed."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _event(name: str, value: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n"


def read_log(path: Path, offset: int) -> bytes:
    """At most `LOG_BYTES` of a log, whole lines where there are more."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            chunk = file.read(LOG_BYTES)
    except OSError:
        return b""
    return chunk[: chunk.rfind(b"\n") + 1] or chunk if len(chunk) == LOG_BYTES else chunk
