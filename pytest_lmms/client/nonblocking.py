"""The same for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx

from pytest_lmms.client.protocol import (
    FIRST_PAUSE_SECONDS,
    KEPT_SECONDS,
    Away,
    Event,
    Events,
    JobError,
    answer_of,
    has_ended,
    headers_of,
    pauses,
    request_of,
    tell,
)


class AsyncEvalClient:
    """`EvalClient` for asyncio; usable with `async with`."""

    def __init__(
        self,
        base_url: str = "http://localhost:8000",
        timeout: float = 30.0,
        *,
        token: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Nothing is sent yet; arguments as for `EvalClient`."""
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEPT_SECONDS)
        self._http = httpx.AsyncClient(
            base_url=base_url, timeout=timeout, headers=headers_of(token), transport=transport, limits=limits
        )

    async def __aenter__(self) -> AsyncEvalClient:  # noqa: PYI034  (Self is newer than Python 3.10)
        """The client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def _send(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        return answer_of(await self._http.request(method, path, **kwargs))

    async def health(self) -> dict[str, Any]:
        """`status`, `timestamp`, `queue_size`."""
        return await self._send("GET", "/health")

    async def list_tasks(self) -> list[str]:
        """Names of tasks, groups and tags."""
        return list((await self._send("GET", "/tasks"))["tasks"])

    async def list_models(self) -> list[str]:
        """Names of models."""
        return list((await self._send("GET", "/models"))["models"])

    async def evaluate(
        self, model: str, tasks: Sequence[str], model_args: Mapping[str, Any] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Queue a run; arguments and answer as for `EvalClient.evaluate`."""
        return await self._send("POST", "/evaluate", json=request_of(model, tasks, model_args, fields))

    async def get_job(self, job_id: str) -> dict[str, Any]:
        """A job: `status`, `progress`, `result`, `error`, ..."""
        return await self._send("GET", f"/jobs/{job_id}")

    async def cancel_job(self, job_id: str) -> dict[str, Any]:
        """Take a job out of the queue, or end its processes."""
        return await self._send("DELETE", f"/jobs/{job_id}")

    async def resume_job(self, job_id: str) -> dict[str, Any]:
        """Queue a job again that failed or was cancelled."""
        return await self._send("POST", f"/jobs/{job_id}/resume")

    async def wait_for_job(
        self, job_id: str, poll_interval: float = 5.0, timeout: float | None = None, *, verbose: bool = False
    ) -> dict[str, Any]:
        """Wait until a job has ended; as `EvalClient.wait_for_job`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        away, job = Away(), {"status": "not known"}
        for pause in pauses(poll_interval):
            try:
                job = await self.get_job(job_id)
                away.is_over()
            except httpx.TransportError as e:
                away.goes_on(e)
            else:
                if has_ended(job):
                    break
                tell(job, print if verbose else None)
            if deadline is not None and time.monotonic() + pause > deadline:
                raise TimeoutError(f"job {job_id} is {job['status']} after {timeout} s")
            await asyncio.sleep(pause)
        return job

    async def stream(self, job_id: str) -> AsyncIterator[Event]:
        """What happens, as it happens; as `EvalClient.stream`."""
        path, timeout = f"/jobs/{job_id}/events", httpx.Timeout(30.0, read=None)
        events, away = Events(), Away()
        while True:
            try:
                async with self._http.stream("GET", path, timeout=timeout, headers=events.headers()) as response:
                    if response.is_error:
                        await response.aread()
                        answer_of(response)
                    away.is_over()
                    async for line in response.aiter_lines():
                        if (event := events.event(line)) is not None:
                            yield event
                    return
            except httpx.TransportError as e:
                away.goes_on(e)
            await asyncio.sleep(FIRST_PAUSE_SECONDS)

    async def results(self, job_id: str) -> dict[str, Any]:
        """What a completed job's tasks scored; as `EvalClient.results`."""
        job = await self.get_job(job_id)
        if not has_ended(job):
            raise JobError(job)
        return dict(job["result"]["results"])

    async def get_queue_status(self) -> dict[str, Any]:
        """What runs and what waits."""
        return await self._send("GET", "/queue")
