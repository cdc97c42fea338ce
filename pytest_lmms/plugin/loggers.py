"""`--lmms-log-to`: loggers, called through the hook that anyone's own would use, when a run has finished."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.errors import UsageError
from pytest_lmms.loggers import Target, parse_targets
from pytest_lmms.plugin.paths import may_hold_tasks
from pytest_lmms.plugin.session import session_of


class Loggers:
    """Tells trackers of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.session = session_of(config)
        self.targets: tuple[Target, ...] = ()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Find the loggers before anything is collected, so that a wrong one, or one without a key, is told at once."""
        settings = self.session.settings
        if settings.log_to is None or not may_hold_tasks(self.config):
            return
        try:
            where = settings.sources.get("log_to", "--lmms-log-to")
            self.targets = parse_targets(settings.log_to, where)
            if not (settings.dry_run or self.config.option.collectonly):
                for target in self.targets:
                    target.check(where)
        except UsageError as e:
            raise pytest.UsageError(str(e)) from e

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
    """Keep loggers in the process that the user started."""
    session = session_of(config)
    if session.settings.log_to is not None and not session.is_worker:
        config.pluginmanager.register(Loggers(config), "lmms-loggers")
