"""How the report of a document that went well travels from a worker to the controller: as one short text.

pytest turns a report into a mapping of a dozen entries, and execnet writes and reads every one of them by itself, in
Python; over tens of thousands of documents that was most of the controller's work. Reports that failed, and those of
ordinary tests, travel as always.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_lmms.jsonl import dumps, loads
from pytest_lmms.plugin.recording import PROPERTY

_KEY = "$lmms"


def pack(report: pytest.TestReport) -> bytes | None:
    """A document's report as one text; None for any other report, or one that says more than its record."""
    properties = report.user_properties
    if (
        report.when != "call"
        or report.outcome != "passed"
        or len(properties) != 1
        or properties[0][0] != PROPERTY
        or report.sections
        or report.keywords
    ):
        return None
    return dumps([report.nodeid, report.location, report.duration, report.start, report.stop, properties[0][1]])


def unpack(data: bytes) -> pytest.TestReport:
    """The inverse of `pack`."""
    nodeid, (file, line, name), duration, start, stop, summary = loads(data)
    return pytest.TestReport(
        nodeid=nodeid,
        location=(file, line, name),
        keywords={},
        outcome="passed",
        longrepr=None,
        when="call",
        duration=duration,
        start=start,
        stop=stop,
        user_properties=[(PROPERTY, summary)],
    )


@pytest.hookimpl(tryfirst=True)
def pytest_report_to_serializable(report: Any) -> dict[str, Any] | None:
    """Pack the report of a document that went well."""
    packed = pack(report) if isinstance(report, pytest.TestReport) else None
    return None if packed is None else {_KEY: packed}


@pytest.hookimpl(tryfirst=True)
def pytest_report_from_serializable(data: dict[str, Any]) -> pytest.TestReport | None:
    """Unpack what was packed."""
    packed = data.get(_KEY)
    return None if packed is None else unpack(packed)
