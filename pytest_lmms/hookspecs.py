"""The hooks, by phase. Implement them in a conftest.py or a plugin with `pytest.hookimpl`, like pytest's own.

Each says when and where it is called: `controller` is the process that the user started, `worker` each process of
`-n`; without `-n` one process is both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("pytest")

# --- registering: once per process, before collection -----------------------------------------------------------


@hookspec
def pytest_lmms_register_models(register: Callable[..., None]) -> None:
    """Add models that `--lmms-model` may name.

    When: once, before collection. Where: controller and every worker.

    Args:
        register: Call as ``register(name, "module:attribute", aliases=())``; imported when first used.

    Example:
        ``register("my_model", "my_package.models:MyModel")``
    """


@hookspec
def pytest_lmms_register_metrics(register: Callable[..., None]) -> None:
    """Add metrics and aggregations that task YAMLs may name, and metrics for every document of every task.

    When: once, before collection. Where: controller and every worker.

    Args:
        register: Call as ``register(name, metric)`` with a `pytest_lmms.scoring.metrics.Metric`, whose `score` is given
            the dataset row where it has a parameter `document`, as a verifier's; as
            ``register(name, metric, every_task=True)`` for one whose values `pytest_lmms_score` returns; or as
            ``register(name, aggregation=function)``.
    """


@hookspec
def pytest_lmms_register_filters(register: Callable[..., None]) -> None:
    """Add filters that `filter_list` of a task YAML may name.

    When: once, before collection. Where: controller and every worker.

    Args:
        register: Call as ``register(name, make)``; ``make(**kwargs)`` gives a
            `pytest_lmms.scoring.filters.Filter`.
    """


@hookspec
def pytest_lmms_register_tools(register: Callable[..., None]) -> None:
    """Add tools that documents of agentic tasks may list in `tools`: a sandbox of your own, say.

    When: once, before collection. Where: controller and every worker.

    Args:
        register: Call as ``register(name, tool)``; ``tool(state, arguments)`` gives a result, JSON. It contains what it
            executes by itself.

    Example:
        ``register("python", lambda state, arguments: my_sandbox.run(arguments["code"]))``
    """


# --- running: for every document ----------------------------------------------------------------------------------


@hookspec
def pytest_lmms_score(
    task: str, document: Mapping[str, Any], answers: Mapping[str, list[Any]], scores: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Add scores of your own to a document.

    When: after its own scoring, on a preparation thread. Where: worker.

    Args:
        task: Name of the task.
        document: The dataset row, media unopened.
        answers: By filter: the text after reasoning tags and filters.
        scores: By filter: what the task's own scoring gave.

    Returns:
        Metric name to value; aggregated when registered with ``every_task=True``. None adds nothing.

    Example:
        ``return {"answer_length": len(answers["none"][0])}``
    """


@hookspec
def pytest_lmms_document_recorded(record: Any) -> None:
    """Look at a finished document.

    When: its record is on disk. Where: worker.

    Args:
        record: A `pytest_lmms.records.Record`; must not be changed.
    """


# --- finishing: once a run ----------------------------------------------------------------------------------------


@hookspec
def pytest_lmms_run_finished(results: Mapping[str, Any], run_folder: Path) -> None:
    """Look at a finished run.

    When: results.json is written. Where: controller.

    Args:
        results: What results.json holds.
        run_folder: Where it lies.
    """


# --- watching: while a run goes on --------------------------------------------------------------------------------


@hookspec
def pytest_lmms_progressed(progress: Mapping[str, Any]) -> None:
    """Hear how far a run is.

    When: after a document, at most 10 times a second, and once at the end. Where: controller.

    Args:
        progress: `done` and `total` (documents), `task` (of the last one), `seconds` (since the first one), `statuses`
            (status -> documents), `scores` (task -> mean so far), `output_tokens` (None where nobody counts).
    """
