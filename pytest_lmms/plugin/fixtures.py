"""The model under test, as a session fixture that any conftest may override.

@pytest.fixture(scope="session")
def lmms_model():
return MyModelInMemory()
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Iterator
from typing import Any, cast

import pytest

from pytest_lmms.errors import LmmsError, TaskError, UsageError, explain
from pytest_lmms.inference.model import no_logprobs, no_pictures, no_tools
from pytest_lmms.model_args import check_model_args
from pytest_lmms.plugin import fastpath
from pytest_lmms.plugin.collection import is_document
from pytest_lmms.plugin.replicas import check_ray, replicas_of
from pytest_lmms.plugin.session import LmmsSession, session_of
from pytest_lmms.records import Generation
from pytest_lmms.registry import MODELS
from pytest_lmms.tasks.spec import LOGPROB_TYPES, VISUAL_COT

NO_MODEL = explain(
    "no model to evaluate",
    expected=(
        "one of: --lmms-model NAME on the command line; lmms_model = NAME in the ini file; a session fixture named "
        "lmms_model in a conftest.py"
    ),
    remedy="`pytest --lmms-list models` names the models; dummy is one that costs nothing",
)

_SERVER_CANNOT = pytest.StashKey["str | None"]()
"""Why the server gives no log-probabilities."""


@pytest.fixture(scope="session")
def lmms_model(pytestconfig: pytest.Config) -> Iterator[Any]:
    """The model that `--lmms-model` names, built once a process; overriding it evaluates any object."""
    session = session_of(pytestconfig)
    if session.settings.model is None:
        raise UsageError(NO_MODEL)
    adapter = check_model(session)
    arguments = _arguments(session, adapter)
    model = adapter(**arguments) if session.settings.ray is None else replicas_of(session, arguments)
    _check_typed_settings(session, getattr(model, "honours", None))
    yield model
    session.notices.extend(getattr(model, "notices", ()))
    close = getattr(model, "close", None)
    if callable(close):
        close()


def check_model(session: LmmsSession) -> Any:
    """Import the adapter and check the user's arguments and settings against it; loads no weights.

    Raises:
        UsageError: Unknown model or argument, or a generation setting that the adapter would ignore.
    """
    settings = session.settings
    assert settings.model is not None  # noqa: S101
    adapter = MODELS.load(settings.model, where=settings.sources.get("model", "--lmms-model"))
    where = settings.sources.get("model_args", "--lmms-model-args")
    check_model_args(adapter, settings.model_args, model_name=settings.model, where=where)
    check_ray(session, adapter)
    _check_typed_settings(session, getattr(adapter, "honours", None))
    return adapter


def check_judges(session: LmmsSession) -> None:
    """Check the judges that the user named; loads no weights.

    Raises:
        UsageError: An unknown adapter, or an argument that no judge has.
    """
    settings = session.settings
    if settings.judge is not None:
        from pytest_lmms.plugin.judges import parse_judges

        parse_judges(
            settings.judge, settings.judge_args, os.environ, where=settings.sources.get("judge", "--lmms-judge")
        )


def _check_typed_settings(session: LmmsSession, honours: frozenset[str] | None) -> None:
    """Refuse generation settings that the user typed and the adapter would ignore.

    Raises:
        UsageError: There is one.
    """
    if honours is None:
        return
    from pytest_lmms.tasks.agents import KEYS
    from pytest_lmms.tasks.generation import build_generation

    settings = session.settings
    where = settings.sources.get("gen_kwargs", "--lmms-gen-kwargs")
    said = {name: value for name, value in settings.gen_kwargs.items() if name not in KEYS}
    typed = build_generation(said, where=where)
    names = [n for n in Generation.__slots__ if n != "extra" and getattr(typed, n) not in (None, ())]
    for name in [*names, *typed.extra]:
        if name not in honours:
            raise UsageError(
                explain(
                    f"the model {settings.model} would ignore {name}",
                    where=where,
                    expected="settings among " + ", ".join(sorted(honours)),
                )
            )


def check_ability(session: LmmsSession, task_file: Any) -> None:
    """Check that the model can do what a task asks for, where the task gets our fixture; loads no weights.

    A server is asked once a process whether it gives log-probabilities; not where nothing will run.

    Raises:
        TaskError: It gives no log-probabilities, draws no pictures, or offers no tools, and the task needs them; or
            the task's settings of agents are wrong.
    """
    kind = task_file.task.spec.output_type
    is_native = task_file.task.agent.is_native
    if (kind not in (*LOGPROB_TYPES, VISUAL_COT) and not is_native) or session.settings.model is None:
        return
    if not fastpath.is_own_fixture(task_file, lmms_model):
        return
    adapter = MODELS.load(session.settings.model)
    if kind in LOGPROB_TYPES and not hasattr(adapter, "score"):
        raise TaskError(explain(no_logprobs(adapter), where=f"task {task_file.task.name}"))
    if is_native and not getattr(adapter, "takes_tools", False):
        raise TaskError(explain(no_tools(adapter), where=f"task {task_file.task.name}"))
    if kind in LOGPROB_TYPES and (why := _why_not_score(session, task_file.config, adapter)):
        raise TaskError(explain(no_logprobs(adapter, why), where=f"task {task_file.task.name}"))
    if kind == VISUAL_COT and not getattr(adapter, "draws", False):
        raise TaskError(explain(no_pictures(adapter), where=f"task {task_file.task.name}"))


def _why_not_score(session: LmmsSession, config: pytest.Config, adapter: Any) -> str | None:
    """Why the server behind an adapter gives no log-probabilities; None where it does, or there is none."""
    if not hasattr(adapter, "why_not_score") or config.option.collectonly or session.settings.dry_run:
        return None
    if _SERVER_CANNOT not in config.stash:
        model = check_model(session)(**_arguments(session, adapter))
        config.stash[_SERVER_CANNOT] = asyncio.run(_ask_why_not(model))
    return config.stash[_SERVER_CANNOT]


async def _ask_why_not(model: Any) -> str | None:
    await model.start()
    try:
        return cast("str | None", await model.why_not_score())
    finally:
        await model.stop()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Check the model before anything runs, where a document will ask for ours; workers report it at their first.

    Raises:
        pytest.UsageError: No model is named, or its arguments or the settings do not fit it.
    """
    state = session_of(session.config)
    if state.is_worker or session.config.option.collectonly or session.testsfailed:
        return
    task_files = {item.parent: None for item in session.items if is_document(item)}
    if not any(fastpath.is_own_fixture(task_file, lmms_model) for task_file in task_files):  # type: ignore[arg-type]
        return
    try:
        if state.settings.model is None:
            raise UsageError(NO_MODEL)
        check_model(state)
        check_judges(state)
    except LmmsError as e:
        raise pytest.UsageError(str(e)) from e


def _arguments(session: LmmsSession, adapter: Any) -> dict[str, Any]:
    """The user's arguments, and what the harness adds: batch size and, under `-n`, a device."""
    arguments = dict(session.settings.model_args)
    try:
        parameters = inspect.signature(adapter).parameters
    except (TypeError, ValueError):
        return arguments
    if "batch_size" in parameters and "batch_size" not in arguments and session.settings.batch_size != "auto":
        arguments["batch_size"] = session.settings.batch_size
    num_workers = int(session.ours.get("num_workers", 1))
    _share_concurrency(arguments, parameters, num_workers)
    wants_device = "device" in parameters and not {"device", "device_map"} & arguments.keys()
    if num_workers > 1 and wants_device and (num_devices := _num_accelerators()):
        allowed = num_devices * session.settings.replicas_per_device
        if num_workers > allowed:
            raise UsageError(
                explain(
                    f"{num_workers} workers for {num_devices} accelerators",
                    where=f"-n {num_workers}",
                    expected=f"at most {allowed}",
                    remedy="lower -n, or allow more with --lmms-replicas-per-device",
                )
            )
        arguments["device"] = f"cuda:{int(session.ours['slot']) % num_devices}"
    return arguments


def _share_concurrency(arguments: dict[str, Any], parameters: Any, num_workers: int) -> None:
    """Give each worker its part of the requests in flight that the user allowed for all."""
    if num_workers < 2:
        return
    for name in ("num_concurrent", "adaptive_max_concurrency"):
        if name in parameters and isinstance(arguments.get(name), int):
            arguments[name] = max(1, -(-arguments[name] // num_workers))


def _num_accelerators() -> int:
    """CUDA devices that torch sees; 0 without torch."""
    try:
        import torch
    except ImportError:
        return 0
    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def pytest_configure(config: pytest.Config) -> None:
    """Share the cores among the workers, before any library counts them."""
    session = session_of(config)
    num_workers = int(session.ours.get("num_workers", 1))
    if num_workers > 1 and "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // num_workers))
