"""A document's one report: made where it was asked, read where the user looks."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pytest_lmms.jsonl import dumps
from pytest_lmms.plugin.recording import PROPERTY


class JUnitProperties:
    """Writes what a report says about a document as JSON for `--junitxml`, which writes `str` of a property."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Rewrite the property of a teardown report, the only one that JUnit takes properties from."""
        if report.when == "teardown":
            report.user_properties = [
                (name, dumps(value).decode() if name == PROPERTY and isinstance(value, dict) else value)
                for name, value in report.user_properties
            ]


@pytest.hookimpl
def pytest_configure(config: pytest.Config) -> None:
    """Where a JUnit file is asked for; workers write none."""
    if config.getoption("xmlpath", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(JUnitProperties(), "lmms-junit-properties")


def document_summary(report: Any) -> dict[str, Any] | None:
    """What a report says about a document; None for an ordinary test's."""
    for name, value in getattr(report, "user_properties", ()):
        if name == PROPERTY:
            return value  # type: ignore[no-any-return]
    return None


def make_report(
    item: Any,
    when: str,
    outcome: str,
    *,
    longrepr: Any = None,
    started: float | None = None,
    duration: float = 0.0,
    properties: list[tuple[str, Any]] | None = None,
) -> pytest.TestReport:
    """The report of one phase of a document."""
    now = started if started is not None else time.time()
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=longrepr,
        when=when,  # type: ignore[arg-type]
        duration=duration,
        start=now,
        stop=now + duration,
        user_properties=properties or (),
    )
