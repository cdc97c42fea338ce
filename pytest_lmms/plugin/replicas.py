"""`--lmms-ray`: the model as replicas on a Ray cluster instead of an object in this process."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.masks import mask
from pytest_lmms.plugin.environment import entry_of
from pytest_lmms.plugin.session import LmmsSession
from pytest_lmms.plugin.videos import VARIABLES
from pytest_lmms.registry import MODELS


def check_ray(session: LmmsSession, adapter: Any) -> None:
    """Check that replicas can be made of a model; starts nothing.

    Raises:
        UsageError: The adapter asks a service, or there are workers, or replicas are asked for without a cluster.
    """
    settings = session.settings
    if settings.ray is None:
        for name in ("replicas", "gpus_per_replica"):
            if getattr(settings, name) is not None:
                remedy = "say on which cluster: --lmms-ray auto"
                raise UsageError(explain("there is no Ray cluster", where=settings.sources[name], remedy=remedy))
        return
    where = settings.sources["ray"]
    if session.is_distributed or session.is_worker:
        remedy = "leave -n out: one process keeps all replicas busy"
        raise UsageError(
            explain("-n and a Ray cluster are two ways to have several replicas", where=where, remedy=remedy)
        )
    if inspect.iscoroutinefunction(getattr(adapter, "generate", None)):
        text = f"the model {settings.model} keeps many requests in flight by itself, and runs in this process"
        expected = "a model that answers batches, such as huggingface or qwen2_5_vl"
        raise UsageError(explain(text, where=where, expected=expected, remedy="leave --lmms-ray out"))


def replicas_of(session: LmmsSession, arguments: Mapping[str, Any]) -> Any:
    """Start the replicas.

    Args:
        session: Names the model and the cluster.
        arguments: Of the adapter's constructor.
    """
    from pytest_lmms.inference.ray_pool import RayPool

    settings = session.settings
    assert settings.model is not None and settings.ray is not None  # noqa: S101, PT018
    variables = _environment(session)
    secrets = {name: value for name, value in variables.items() if mask({name: value}) != {name: value}}
    return RayPool(
        settings.model,
        MODELS.target(settings.model),
        arguments,
        address=settings.ray,
        num_replicas=settings.replicas,
        num_gpus=settings.gpus_per_replica,
        environment={name: value for name, value in variables.items() if name not in secrets},
        secrets=secrets,
        timeout_seconds=settings.timeout,
    )


def _environment(session: LmmsSession) -> dict[str, str]:
    """Variables that the config file sets, and those that say how videos are read."""
    entry = entry_of(session.config)
    set_here = list(entry.env) if entry is not None else []
    set_here += [variable for name, variable in VARIABLES.items() if name in session.settings.sources]
    return {name: os.environ[name] for name in set_here if name in os.environ}
