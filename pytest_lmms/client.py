"""Clients of `pytest-lmms serve`, and of lmms-eval's server: methods and answers are those of lmms-eval's clients.

with EvalClient("http://127.0.0.1:8000") as client:
    job = client.evaluate("qwen2_5_vl", ["mme"], model_args={"pretrained": "checkpoints/step_500"})
    results = client.wait_for_job(job["job_id"])["result"]["results"]
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import httpx

from pytest_lmms.errors import LmmsError, did_you_mean, explain

FINISHED = ("completed", "failed", "cancelled")
FIRST_PAUSE_SECONDS = 0.25
"""Between the first two looks at a job."""


class JobError(LmmsError, RuntimeError):
    """A job failed or was cancelled; `job` is what the server says about it."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        """Say why."""
        reason = job.get("error") or f"it is {job.get('status')}"
        super().__init__(f"job {job.get('job_id')}: {reason}")
        self.job = job


class RefusedError(LmmsError, RuntimeError):
    """The server refused a request; `status_code` is HTTP's."""

    def __init__(self, response: httpx.Response) -> None:
        """Say why, in the server's words."""
        try:
            detail = response.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = response.text[:500]
        if isinstance(detail, list):
            detail = "; ".join(f"{'.'.join(map(str, d.get('loc', ())))}: {d.get('msg')}" for d in detail)
        super().__init__(explain(f"{response.status_code}: {detail}", where=str(response.request.url)))
        self.status_code = response.status_code


class Event(NamedTuple):
    """One piece of news about a job."""

    name: str
    """`status`, `progress` or `log`."""
    data: dict[str, Any]


def _headers(token: str | None) -> dict[str, str]:
    token = token or os.environ.get("LMMS_SERVER_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


FIELDS = (
    "num_fewshot", "batch_size", "device", "limit", "gen_kwargs", "log_samples", "predict_only", "num_gpus",
    "output_dir", "env", "settings",
)  # fmt: skip
"""Of a request, beside model, tasks and model_args."""


def _request(
    model: str, tasks: Sequence[str], model_args: Mapping[str, Any] | None, fields: Mapping[str, Any]
) -> dict[str, Any]:
    for name in fields:
        if name not in FIELDS:
            close = did_you_mean(name, FIELDS)
            remedy = f"; did you mean {close}?" if close else f"; it takes {', '.join(FIELDS)}"
            raise TypeError(f"evaluate takes no {name!r}{remedy}")
    body = {"model": model, "tasks": [tasks] if isinstance(tasks, str) else list(tasks), "model_args": model_args}
    return {name: value for name, value in {**body, **fields}.items() if value is not None}


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        response.read()
        raise RefusedError(response)
    answer: dict[str, Any] = response.json()
    return answer


def _ended(job: dict[str, Any]) -> bool:
    """Whether a job has a result.

    Raises:
        JobError: It will never have one.
    """
    if job["status"] in ("failed", "cancelled"):
        raise JobError(job)
    return bool(job["status"] == "completed")


class _Events:
    """Lines of a stream -> events."""

    def __init__(self) -> None:
        self._name = "message"

    def event(self, line: str) -> Event | None:
        field, _, value = line.partition(": ")
        if field == "event":
            self._name = value
        elif field == "data":
            return Event(self._name, json.loads(value))
        return None


class EvalClient:
    """Talks to a server; usable with `with`."""

    def __init__(
        self,
        base_url: str = "http://localhost:8000",
        timeout: float = 30.0,
        *,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            base_url: Of the server.
            timeout: Seconds, of one request.
            token: What the server wants to see; default: the variable LMMS_SERVER_TOKEN.
            transport: Carries the requests; for tests and proxies.
        """
        self._http = httpx.Client(base_url=base_url, timeout=timeout, headers=_headers(token), transport=transport)

    def __enter__(self) -> EvalClient:  # noqa: PYI034  (Self is newer than Python 3.10)
        """The client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _send(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        return _answer(self._http.request(method, path, **kwargs))

    def health(self) -> dict[str, Any]:
        """`status`, `timestamp`, `queue_size`."""
        return self._send("GET", "/health")

    def is_healthy(self) -> bool:
        """Whether the server answers."""
        try:
            return "status" in self.health()
        except (httpx.HTTPError, LmmsError, ValueError):
            return False

    def list_tasks(self) -> list[str]:
        """Names of tasks, groups and tags."""
        return list(self._send("GET", "/tasks")["tasks"])

    def list_models(self) -> list[str]:
        """Names of models."""
        return list(self._send("GET", "/models")["models"])

    def evaluate(
        self, model: str, tasks: Sequence[str], model_args: Mapping[str, Any] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Queue a run, and return at once.

        Args:
            model: Name of a model.
            tasks: Names of tasks, groups or tags.
            model_args: Arguments of the model.
            fields: `num_fewshot`; `batch_size`, a number or auto; `limit`, documents of each task, below 1 a share of
                them; `gen_kwargs`, a mapping or text; `log_samples`; `predict_only`; `num_gpus`, devices, each with a
                worker; `output_dir`, in a folder that the server's owner allows; `env`, variables that the owner
                allows; `settings`, more keys of a config file: `data`, `subset`, `fail_under`, ...; `device`, which
                is not used: the server gives devices.

        Returns:
            `job_id`, `status`, `position_in_queue`, `message`.

        Raises:
            RefusedError: The server does not take it; the message says why.
            TypeError: A field that there is not.
        """
        return self._send("POST", "/evaluate", json=_request(model, tasks, model_args, fields))

    def get_job(self, job_id: str) -> dict[str, Any]:
        """A job: `status`, `progress`, `result`, `error`, ..."""
        return self._send("GET", f"/jobs/{job_id}")

    def list_jobs(self, *, status: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """Jobs, the newest first."""
        parameters = {"limit": limit} | ({"status": status} if status else {})
        return list(self._send("GET", "/jobs", params=parameters)["jobs"])

    def cancel_job(self, job_id: str) -> dict[str, Any]:
        """Take a job out of the queue, or end its processes."""
        return self._send("DELETE", f"/jobs/{job_id}")

    def resume_job(self, job_id: str) -> dict[str, Any]:
        """Queue a job again that failed or was cancelled; what was answered is not asked again."""
        return self._send("POST", f"/jobs/{job_id}/resume")

    def wait_for_job(
        self, job_id: str, poll_interval: float = 5.0, timeout: float | None = None, *, verbose: bool = False
    ) -> dict[str, Any]:
        """Wait until a job has ended.

        Args:
            job_id: Of `evaluate`.
            poll_interval: Seconds between two looks, at most: the first ones come sooner.
            timeout: Seconds; None waits for ever.
            verbose: Print how far it is.

        Returns:
            The job; `result` holds its results.

        Raises:
            JobError: It failed or was cancelled.
            TimeoutError: It had not ended in time; it goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for pause in _pauses(poll_interval):
            if _ended(job := self.get_job(job_id)):
                break
            _tell(job, print if verbose else None)
            if deadline is not None and time.monotonic() + pause > deadline:
                raise TimeoutError(f"job {job_id} is {job['status']} after {timeout} s")
            time.sleep(pause)
        return job

    def stream(self, job_id: str) -> Iterator[Event]:
        """What happens, as it happens: status, progress and log, from the beginning until the job has ended."""
        with self._http.stream("GET", f"/jobs/{job_id}/events", timeout=httpx.Timeout(30.0, read=None)) as response:
            if response.is_error:
                _answer(response)
            events = _Events()
            for line in response.iter_lines():
                if (event := events.event(line)) is not None:
                    yield event

    def results(self, job_id: str) -> dict[str, Any]:
        """What a completed job's tasks scored: task -> metric -> value.

        Raises:
            JobError: It failed, was cancelled, or has not ended.
        """
        job = self.get_job(job_id)
        if not _ended(job):
            raise JobError(job)
        return dict(job["result"]["results"])

    def get_queue_status(self) -> dict[str, Any]:
        """What runs and what waits."""
        return self._send("GET", "/queue")


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
        self._http = httpx.AsyncClient(base_url=base_url, timeout=timeout, headers=_headers(token), transport=transport)

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
        return _answer(await self._http.request(method, path, **kwargs))

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
        return await self._send("POST", "/evaluate", json=_request(model, tasks, model_args, fields))

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
        for pause in _pauses(poll_interval):
            if _ended(job := await self.get_job(job_id)):
                break
            _tell(job, print if verbose else None)
            if deadline is not None and time.monotonic() + pause > deadline:
                raise TimeoutError(f"job {job_id} is {job['status']} after {timeout} s")
            await asyncio.sleep(pause)
        return job

    async def stream(self, job_id: str) -> AsyncIterator[Event]:
        """What happens, as it happens; as `EvalClient.stream`."""
        timeout = httpx.Timeout(30.0, read=None)
        async with self._http.stream("GET", f"/jobs/{job_id}/events", timeout=timeout) as response:
            if response.is_error:
                await response.aread()
                _answer(response)
            events = _Events()
            async for line in response.aiter_lines():
                if (event := events.event(line)) is not None:
                    yield event

    async def results(self, job_id: str) -> dict[str, Any]:
        """What a completed job's tasks scored; as `EvalClient.results`."""
        job = await self.get_job(job_id)
        if not _ended(job):
            raise JobError(job)
        return dict(job["result"]["results"])

    async def get_queue_status(self) -> dict[str, Any]:
        """What runs and what waits."""
        return await self._send("GET", "/queue")


def _pauses(longest: float) -> Iterator[float]:
    """Seconds to wait: a short job is noticed soon, a long one is not asked about all the time."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield min(pause, longest)
        pause = min(pause * 1.5, longest)


def _tell(job: Mapping[str, Any], write: Callable[[str], object] | None) -> None:
    if write is None:
        return
    progress = job.get("progress") or {}
    far = f" {progress['done']}/{progress['total']} {progress['task']}" if progress else ""
    place = f", {job['position_in_queue']} before it" if job.get("position_in_queue") else ""
    write(f"job {job['job_id'][:8]} is {job['status']}{place}{far}")
