"""What both clients share: requests written, answers and events read, pauses between two looks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_lmms.errors import LmmsError, did_you_mean, explain

if TYPE_CHECKING:
    import httpx

FINISHED = ("completed", "failed", "cancelled")
FIRST_PAUSE_SECONDS = 0.25
"""Between the first two looks at a job."""
AWAY_SECONDS = 60.0
"""How long a server may be away while a client waits for a job: it keeps its queue when it is started again."""
KEPT_SECONDS = 30.0
"""How long a connection on which nothing is asked is kept: longer than the pause between two looks, and less than the
server keeps it."""


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


def headers_of(token: str | None) -> dict[str, str]:
    """What goes with each request: the token, or that of the environment."""
    token = token or os.environ.get("LMMS_SERVER_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


FIELDS = (
    "num_fewshot", "batch_size", "device", "limit", "gen_kwargs", "log_samples", "predict_only", "num_gpus",
    "output_dir", "env", "settings",
)  # fmt: skip
"""Of a request, beside model, tasks and model_args."""


def request_of(
    model: str, tasks: Sequence[str], model_args: Mapping[str, Any] | None, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of a request.

    Raises:
        TypeError: A field that there is not.
    """
    for name in fields:
        if name not in FIELDS:
            close = did_you_mean(name, FIELDS)
            remedy = f"; did you mean {close}?" if close else f"; it takes {', '.join(FIELDS)}"
            raise TypeError(f"evaluate takes no {name!r}{remedy}")
    body = {"model": model, "tasks": [tasks] if isinstance(tasks, str) else list(tasks), "model_args": model_args}
    return {name: value for name, value in {**body, **fields}.items() if value is not None}


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """What the server says.

    Raises:
        RefusedError: It refuses.
    """
    if response.is_error:
        response.read()
        raise RefusedError(response)
    answer: dict[str, Any] = response.json()
    return answer


def has_ended(job: dict[str, Any]) -> bool:
    """Whether a job has a result.

    Raises:
        JobError: It will never have one.
    """
    if job["status"] in ("failed", "cancelled"):
        raise JobError(job)
    return bool(job["status"] == "completed")


class Away:
    """How long a server has not answered somebody who waits."""

    def __init__(self) -> None:
        """It answers."""
        self._since: float | None = None

    def is_over(self) -> None:
        """It answers again."""
        self._since = None

    def goes_on(self, error: Exception) -> None:
        """It does not answer.

        Raises:
            Exception: The error, once it has not for too long.
        """
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since > AWAY_SECONDS:
            raise error


class Events:
    """Lines of a stream -> events; of one that breaks off, where the next one goes on."""

    def __init__(self) -> None:
        """Before the first line."""
        self._name = "message"
        self._id = self._next_id = ""

    def headers(self) -> dict[str, str]:
        """What goes with a request for the rest."""
        return {"Last-Event-ID": self._id} if self._id else {}

    def event(self, line: str) -> Event | None:
        """What the line ends, if it ends one."""
        field, _, value = line.partition(": ")
        if field == "event":
            self._name = value
        elif field == "id":
            self._next_id = value
        elif field == "data":
            self._id = self._next_id  # not before: what broke off in between is sent again
            return Event(self._name, json.loads(value))
        return None


def pauses(longest: float) -> Iterator[float]:
    """Seconds to wait: a short job is noticed soon, a long one is not asked about all the time."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield min(pause, longest)
        pause = min(pause * 1.5, longest)


def tell(job: Mapping[str, Any], write: Callable[[str], object] | None) -> None:
    """Say how far a job is, where somebody wants to hear it."""
    if write is None:
        return
    progress = job.get("progress") or {}
    far = f" {progress['done']}/{progress['total']} {progress['task']}" if progress else ""
    place = f", {job['position_in_queue']} before it" if job.get("position_in_queue") else ""
    write(f"job {job['job_id'][:8]} is {job['status']}{place}{far}")
