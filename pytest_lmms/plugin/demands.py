"""What the user demands of a run, held against the tasks that were collected, before a model is loaded.

Workers look as well, because only they collect under `-n`; what they find is told by the controller. Judges nothing
(see `gates`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lmms.errors import LmmsError, UsageError, did_you_mean, explain
from pytest_lmms.plugin.items import is_document
from pytest_lmms.plugin.paths import given_index, named_groups
from pytest_lmms.plugin.session import LmmsSession, session_of

if TYPE_CHECKING:
    from pytest_lmms.results.rules import Gate


def demanded(session: LmmsSession) -> list[Gate]:
    """The gates of the command line and the ini file.

    Raises:
        UsageError: One that cannot be understood.
    """
    settings = session.settings
    if settings.fail_on_regression is None and settings.fail_under is None:
        return []
    from pytest_lmms.results.rules import parse_regression, parse_under

    gates: list[Gate] = []
    for name, text, parse in (
        ("fail_on_regression", settings.fail_on_regression, parse_regression),
        ("fail_under", settings.fail_under, parse_under),
    ):
        if text is not None:
            gates += parse(text, settings.sources.get(name, name))
    return gates


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a gate on what no collected task has; a worker's controller is told with its first document."""
    state = session_of(session.config)
    try:
        gates = demanded(state)
        tasks: set[Any] = {item.parent for item in session.items if is_document(item)} if gates else set()
        if tasks:
            _refuse_unknown(gates, tasks, {*named_groups(session.config), *given_index(session.config).groups})
    except LmmsError as e:
        if not state.is_worker:
            raise pytest.UsageError(str(e)) from e
        state.usage_error = str(e)
        session.shouldfail = "usage error"


def _refuse_unknown(gates: Sequence[Gate], tasks: Collection[Any], groups: Collection[str]) -> None:
    from pytest_lmms.scoring.build import metric_entries
    from pytest_lmms.scoring.metrics import EVERY_TASK

    metrics = {t.task.name: {e.name for e in metric_entries(t.task)} | set(EVERY_TASK) for t in tasks}
    filters = {t.task.name: {e.name for e in t.scorer.ensembles} for t in tasks}
    for gate in gates:
        if gate.task in groups:
            if gate.needs_baseline:
                remedy = "name its tasks, or none for all of them"
                raise UsageError(
                    explain(f"group {gate.task} has no documents to compare", where=gate.where, remedy=remedy)
                )
            continue
        if gate.task is not None and gate.task not in metrics:
            raise UsageError(
                explain(f"no task {gate.task!r} in this run", where=gate.where, expected=", ".join(sorted(metrics)))
            )
        about = [gate.task] if gate.task is not None else list(metrics)
        if not any(gate.is_about(m, f) for name in about for m in metrics[name] for f in filters[name]):
            raise UsageError(_no_such_metric(gate, _all(metrics, about), _all(filters, about)))


def _all(by_task: Mapping[str, Collection[str]], tasks: Collection[str]) -> list[str]:
    return sorted({name for task in tasks for name in by_task[task]})


def _no_such_metric(gate: Gate, metrics: Sequence[str], filters: Sequence[str]) -> str:
    """What to say of a gate on a metric, or a filter of one, that the tasks in question have not."""
    if gate.metric in metrics or gate.metric is None:
        what, wrong, known = "filter", gate.filter or "", filters
    else:
        what, wrong, known = "metric", f"{gate.metric}@{gate.filter}" if gate.filter else gate.metric, metrics
    return explain(
        f"no task of this run has a {what} {wrong!r}", where=gate.where, expected="one of " + ", ".join(known),
        suggestion=did_you_mean(wrong, known),
    )  # fmt: skip
