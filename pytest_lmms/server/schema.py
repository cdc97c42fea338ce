"""What is sent to the server and what it answers; field names and states are those of lmms-eval's server."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Status = Literal["queued", "running", "completed", "failed", "cancelled"]
FINISHED = ("completed", "failed", "cancelled")
MAX_DEPTH = 32
"""Of values inside values, in a request or in results."""


def check_plain(value: Any, depth: int = 0) -> None:
    """Refuse what JSON can say and a file, a process's environment or an answer cannot.

    Raises:
        ValueError: Values nested too deeply, or a text that is no Unicode; what was sent is not repeated.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"values lie in each other {MAX_DEPTH} deep at most")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half of a surrogate pair") from None
    elif isinstance(value, dict):
        for key, each in value.items():
            check_plain(key, depth)
            check_plain(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            check_plain(each, depth + 1)


class EvaluateRequest(BaseModel):
    """A run that is asked for."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str = Field(min_length=1, max_length=200, description="a name of GET /models")
    tasks: list[str] = Field(min_length=1, max_length=2000, description="names of tasks, groups or tags")
    model_args: dict[str, Any] = Field(default_factory=dict, description="arguments of the model")
    num_fewshot: int | None = Field(default=None, ge=0, le=1000)
    batch_size: int | str | None = Field(default=None, description="a number, or auto")
    device: str | None = Field(default=None, description="not used: the server gives a device to each job")
    limit: int | float | None = Field(default=None, description="documents of each task; below 1 a share of them")
    gen_kwargs: dict[str, Any] | str | None = Field(default=None, description="mapping, or key=value,key=value")
    log_samples: bool = True
    predict_only: bool = False
    num_gpus: int = Field(default=1, ge=1, le=64, description="devices, each with a worker that holds the model")
    output_dir: str | None = Field(default=None, max_length=4096, description="inside a folder that the owner allows")
    env: dict[str, str] = Field(default_factory=dict, description="variables that the owner allows")
    settings: dict[str, Any] = Field(default_factory=dict, description="more keys of a config file")

    @model_validator(mode="before")
    @classmethod
    def _is_plain(cls, values: Any) -> Any:
        check_plain(values)
        env = values.get("env") if isinstance(values, dict) else None
        if isinstance(env, dict) and any("\0" in v for v in env.values() if isinstance(v, str)):
            raise ValueError("a variable cannot hold a NUL")
        return values


class Submitted(BaseModel):
    """A job that waits."""

    job_id: str
    status: Status
    position_in_queue: int
    message: str


class JobInfo(BaseModel):
    """A job: what was asked, how far it is, what came out."""

    job_id: str
    status: Status
    created_at: str = Field(description="ISO 8601 with offset, like every time here")
    started_at: str | None = None
    completed_at: str | None = None
    request: dict[str, Any] = Field(description="as sent; secrets are masked")
    result: dict[str, Any] | None = Field(default=None, description="of results.json: results, groups, gates")
    error: str | None = None
    position_in_queue: int | None = Field(default=None, description="0 is next")
    devices: list[str] = Field(default_factory=list)
    progress: dict[str, Any] | None = Field(default=None, description="done, total, task, statuses, scores")
    exit_code: int | None = Field(default=None, description="pytest's: 0, or 1 where documents or a gate failed")
    run_folder: str | None = None
    view: str | None = Field(default=None, description="the run in the viewer: /view/#/run/ and this, percent-encoded")
    is_resumable: bool = False


class JobSummary(BaseModel):
    """A job in a list."""

    job_id: str
    status: Status
    model: str
    tasks: list[str]
    created_at: str
    completed_at: str | None = None


class JobList(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobSummary]
    total: int


class QueueStatus(BaseModel):
    """What runs and what waits."""

    queue_size: int
    running_job: str | None = Field(description="the one that has run longest")
    running_jobs: list[str]
    queued_jobs: list[str]
    completed_jobs: int
    failed_jobs: int
    free_devices: list[str]


class Health(BaseModel):
    """Whether the server answers."""

    status: Literal["healthy"] = "healthy"
    timestamp: str
    queue_size: int


class Names(BaseModel):
    """Names that a request may use."""

    tasks: list[str] | None = None
    models: list[str] | None = None


class Problem(BaseModel):
    """Why a request was refused."""

    detail: Any
