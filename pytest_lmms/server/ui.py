"""The web page of the server: the form, its helpers, and the viewer over the jobs' runs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from pytest_lmms.server import form
from pytest_lmms.server.guard import COOKIE, is_token
from pytest_lmms.server.policy import Policy, plan
from pytest_lmms.server.queue import JobQueue
from pytest_lmms.server.schema import EvaluateRequest, Problem
from pytest_lmms.tasks.index import TaskIndex
from pytest_lmms.viewer.live import Runs, answer
from pytest_lmms.viewer.page import assemble

FOLDER = Path(__file__).parent / "page"
PAGE_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem}, 401: {"model": Problem}, 403: {"model": Problem}, 404: {"model": Problem},
    413: {"model": Problem}, 415: {"model": Problem}, 422: {"model": Problem},
}  # fmt: skip


class Preview(BaseModel):
    """A request as people write it."""

    command: str
    yaml: str


class ConfigText(BaseModel):
    """The text of a config file."""

    model_config = ConfigDict(extra="forbid")

    yaml: str = Field(max_length=form.MAX_YAML)


class Token(BaseModel):
    """What a browser shows to be let in."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=1000)


@functools.cache
def page() -> str:
    """The form, one HTML text."""
    return assemble(
        FOLDER / "ui.html", scripts=("dom.js", FOLDER / "ui.js"), styles=("style.css", FOLDER / "ui.css"),
        title="Evaluate · pytest-lmms",
    )  # fmt: skip


def add_pages(app: FastAPI, *, policy: Policy, tasks: TaskIndex, queue: JobQueue, token: str | None) -> None:
    """Add the page and what it asks for.

    Args:
        app: The server's application.
        policy: What jobs may name.
        tasks: The tasks that they may name.
        queue: Knows where the jobs' runs lie.
        token: What strangers have to show; None where there are none.
    """
    import os

    queue.files.root.mkdir(parents=True, exist_ok=True)

    def elsewhere() -> dict[str, Path]:
        """Runs in folders that jobs chose, as long as the owner allows these."""
        return {job: folder for job, folder in queue.store.output_folders().items() if policy.is_output(folder)}

    runs = Runs(queue.files.root, elsewhere)

    @app.get("/", include_in_schema=False)
    async def form_page() -> Response:
        return Response(page(), media_type="text/html")

    @app.post("/session", responses=PAGE_REFUSALS, status_code=204)
    async def session(given: Token, response: Response) -> None:
        """Let a browser in: the token becomes a cookie that scripts cannot read."""
        if token is not None and not is_token(given.token, token):
            raise HTTPException(401, "this is not the server's token")
        if token is not None:
            response.set_cookie(COOKIE, given.token, httponly=True, samesite="strict")

    @app.get("/form/catalogue", responses=PAGE_REFUSALS)
    async def catalogue() -> dict[str, Any]:
        """Models, tasks, groups, tags, settings and variables that a request may name."""
        return form.catalogue(policy, tasks)

    @app.get("/form/arguments", responses=PAGE_REFUSALS)
    async def arguments(model: Annotated[str, Query(max_length=200)]) -> list[dict[str, Any]]:
        """The arguments of a model."""
        return await run_in_threadpool(form.arguments_of, model)

    @app.post("/form/preview", responses=PAGE_REFUSALS)
    async def preview(request: EvaluateRequest) -> Preview:
        """The command and the config file that a request stands for."""
        return Preview(**form.preview(plan(request, policy, tasks, os.environ)))

    @app.post("/form/import", responses=PAGE_REFUSALS)
    async def import_config(text: ConfigText) -> dict[str, Any]:
        """A config file as the fields of a request."""
        return form.request_of(text.yaml)

    @app.get("/view{path:path}", include_in_schema=False)
    async def view(path: str, request: Request) -> Response:
        if path in ("", "//"):
            return Response(status_code=307, headers={"Location": "/view/"})
        status, mime, body = await run_in_threadpool(answer, runs, path, dict(request.query_params))
        return Response(body, status_code=status, media_type=mime, headers={"X-Content-Type-Options": "nosniff"})
