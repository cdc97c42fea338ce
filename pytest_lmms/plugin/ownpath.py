"""Documents on pytest's own path, where something needs its three phases: what their failures become."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_lmms.errors import LmmsError, UsageError
from pytest_lmms.plugin import fastpath
from pytest_lmms.plugin.recording import PROPERTY, summarise


class DocumentFailed(Exception):
    """Raised on pytest's own path for a document whose record is an error."""


def fixture_failure(error: BaseException) -> str:
    """What a document says whose fixtures could not be filled."""
    if isinstance(error, LmmsError):
        return f"fixture lmms_model: {error}"
    if isinstance(error, fastpath.FixtureFailed):
        return str(error)
    return f"filling the fixtures of this task failed: {type(error).__name__}: {error}"


def record_setup_failure(item: Any, error: BaseException, report: Any) -> None:
    """Give a document on pytest's own path its error record when its fixtures could not be filled.

    Args:
        item: The document.
        error: What a fixture raised.
        report: Of the setup phase; told what the record says.
    """
    from pytest_lmms.plugin.run_document import runner_of

    runner = runner_of(item.config)
    if isinstance(error, UsageError):
        runner.session.usage_error = str(error)
        item.session.shouldfail = "usage error"
        return
    record = runner.record_failure(item, fixture_failure(error))
    report.user_properties.append((PROPERTY, summarise(record, item.parent.task.spec.score_key)))


def run_as_function(item: Any, model: Any) -> None:
    """Run one document on pytest's own path.

    Raises:
        DocumentFailed: Its record is an error.
    """
    from pytest_lmms.plugin.run_document import runner_of

    runner = runner_of(item.config)
    line = runner.line_for(model, item._request)
    record = runner._answer(item, line)
    if record is None:
        pytest.skip("the run was stopped before this document was asked")
    item.user_properties.append((PROPERTY, summarise(record, item.parent.task.spec.score_key)))
    item.is_submitted = False  # a rerun asks again
    if record.status == "error":
        raise DocumentFailed(record.error)
