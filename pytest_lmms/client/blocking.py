"""A client that waits for each answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
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
from pytest_lmms.errors import LmmsError


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
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEPT_SECONDS)
        self._http = httpx.Client(
            base_url=base_url, timeout=timeout, headers=headers_of(token), transport=transport, limits=limits
        )

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
        return answer_of(self._http.request(method, path, **kwargs))

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
        return self._send("POST", "/evaluate", json=request_of(model, tasks, model_args, fields))

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
            httpx.TransportError: The server has not answered for a minute.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        away, job = Away(), {"status": "not known"}
        for pause in pauses(poll_interval):
            try:
                job = self.get_job(job_id)
                away.is_over()
            except httpx.TransportError as e:
                away.goes_on(e)
            else:
                if has_ended(job):
                    break
                tell(job, print if verbose else None)
            if deadline is not None and time.monotonic() + pause > deadline:
                raise TimeoutError(f"job {job_id} is {job['status']} after {timeout} s")
            time.sleep(pause)
        return job

    def stream(self, job_id: str) -> Iterator[Event]:
        """What happens, as it happens: status, progress and log, from the beginning until the job has ended.

        Where the server is started again meanwhile, the stream goes on: no line of the log is told twice.

        Raises:
            RefusedError: There is no such job.
            httpx.TransportError: The server has not answered for a minute.
        """
        path, timeout = f"/jobs/{job_id}/events", httpx.Timeout(30.0, read=None)
        events, away = Events(), Away()
        while True:
            try:
                with self._http.stream("GET", path, timeout=timeout, headers=events.headers()) as response:
                    if response.is_error:
                        answer_of(response)
                    away.is_over()
                    for line in response.iter_lines():
                        if (event := events.event(line)) is not None:
                            yield event
                    return
            except httpx.TransportError as e:
                away.goes_on(e)
            time.sleep(FIRST_PAUSE_SECONDS)

    def results(self, job_id: str) -> dict[str, Any]:
        """What a completed job's tasks scored: task -> metric -> value.

        Raises:
            JobError: It failed, was cancelled, or has not ended.
        """
        job = self.get_job(job_id)
        if not has_ended(job):
            raise JobError(job)
        return dict(job["result"]["results"])

    def get_queue_status(self) -> dict[str, Any]:
        """What runs and what waits."""
        return self._send("GET", "/queue")
