"""`--lmms-report`: the page of the run, when it has finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lmms.errors import LmmsError
from pytest_lmms.plugin.session import session_of


class Report:
    """Writes report.html; one that cannot be written is told, and loses nothing of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.session = session_of(config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_lmms_run_finished(self, run_folder: Path) -> None:
        """Write it, before loggers tell of the run and before its folder is copied elsewhere."""
        from pytest_lmms.viewer.report import write_report

        gates = self.config.pluginmanager.get_plugin("lmms-gates")
        try:
            write_report(run_folder, baseline=getattr(gates, "baseline", None))
        except (LmmsError, OSError, ValueError) as e:
            self.session.notices.append(f"report.html could not be written: {e}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep it in the process that the user started."""
    session = session_of(config)
    if session.settings.report and not session.is_worker:
        config.pluginmanager.register(Report(config), "lmms-report")
