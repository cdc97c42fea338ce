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
MAX_ID_LENGTH = 18
"""Longer numbers are no place in a file."""
FIRST_OF_TWO, FIRST_OF_THREE, FIRST_OF_FOUR = 0xC0, 0xE0, 0xF0
"""From these on, the first byte of a character of so many in UTF-8."""


async def events_of(job_id: str, queue: JobQueue, request: Request) -> AsyncIterator[str]:
    """The log from its beginning, then what is new, until the job has ended or nobody reads any more.

    The id of an event of the log is where the next one begins: who connects again and sends it as Last-Event-ID, as
    browsers do, is told no line twice.

    Yields:
        Server-sent events: `status`, `progress`, `log`, each with JSON.
    """
    log, progress_file = queue.files.log_path(job_id), queue.files.progress_path(job_id)
    last = request.headers.get("last-event-id", "")
    offset = int(last) if last.isascii() and last.isdigit() and len(last) <= MAX_ID_LENGTH else 0
    told, seen = {"status": "", "progress": ""}, None
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
            yield f"id: {offset}\n" + _event("log", {"text": chunk.decode(errors="replace"), "next_offset": offset})
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
    """At most `LOG_BYTES` of a log: whole lines where there are more, and whole characters."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            chunk = file.read(LOG_BYTES)
    except OSError:
        return b""
    chunk = chunk[: chunk.rfind(b"\n") + 1] or chunk if len(chunk) == LOG_BYTES else chunk
    return _whole_characters(chunk)


def _whole_characters(chunk: bytes) -> bytes:
    """Leave out a character of UTF-8 whose end is not there yet."""
    for length, byte in enumerate(reversed(chunk[-3:]), 1):
        if byte >= FIRST_OF_FOUR or (byte >= FIRST_OF_THREE and length < 3) or (byte >= FIRST_OF_TWO and length < 2):
            return chunk[:-length]
        if byte & 0xC0 != 0x80:
            break
    return chunk
