"""`--lmms-log-to`: loggers, called through the hook that anyone's own would use, when a run has finished."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.errors import UsageError
from pytest_lmms.loggers import Target, parse_targets
from pytest_lmms.plugin.session import LmmsSession, session_of


class Loggers:
    """Tells trackers of the run."""

    def __init__(self, session: LmmsSession, targets: tuple[Target, ...]) -> None:
        self.session = session
        self.targets = targets

    @pytest.hookimpl(trylast=True)
    def pytest_lmms_run_finished(self, results: Mapping[str, Any], run_folder: Path) -> None:
        """Log; a tracker that fails loses nothing of the run, and is told."""
        for target in self.targets:
            try:
                self.session.notices.append(f"logged to {target.log(results, run_folder)}")
            except Exception as e:  # noqa: BLE001  (whatever a tracker raises)
                text = str(e).strip().partition("\n")[0] or type(e).__name__
                self.session.notices.append(f"NOT logged to {target.name}: {text}; the run folder is complete")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the loggers before anything runs; keep them in the process that the user started."""
    session = session_of(config)
    if session.settings.log_to is None or session.is_worker:
        return
    try:
        targets = parse_targets(session.settings.log_to, session.settings.sources.get("log_to", "--lmms-log-to"))
    except UsageError as e:
        raise pytest.UsageError(str(e)) from e
    config.pluginmanager.register(Loggers(session, targets), "lmms-loggers")
