"""`--lmms-dry-run`: what would be asked is shown; no weights are loaded, nothing is asked, nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_lmms.errors import LmmsError, UsageError, counted, explain
from pytest_lmms.plugin.collection import TaskFile, is_document
from pytest_lmms.plugin.session import session_of
from pytest_lmms.printable import printable

if TYPE_CHECKING:
    from pytest_lmms.dryrun import Measure, TaskPlan


class DryRun:
    """Plans instead of running."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.session = session_of(config)
        self.plans: list[TaskPlan] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Render and measure every selected document; other items are left alone."""
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            return None  # pytest says what could not be collected
        from pytest_lmms.dryrun import plan_task

        chosen: dict[TaskFile, list[int]] = {}
        for item in session.items:
            if is_document(item):
                chosen.setdefault(item.parent, []).append(item.index)  # type: ignore[arg-type, attr-defined]
        try:
            measure = self._measure()
        except LmmsError as e:
            raise pytest.UsageError(str(e)) from e
        self.plans = [plan_task(t.task, t.rows, rows, measure) for t, rows in chosen.items()]
        session.testsfailed += sum(bool(plan.errors) for plan in self.plans)
        return True

    def _measure(self) -> Measure | None:
        """What counts the tokens of a request, where the adapter has it."""
        from pytest_lmms.plugin.fixtures import check_model

        if self.session.settings.model is None:
            return None
        adapter = check_model(self.session)
        build = getattr(adapter, "measure", None)
        return build(**self.session.settings.model_args) if build is not None else None

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the plans: of each task its first prompt, then the numbers."""
        from pytest_lmms.dryrun import plan_lines

        for plan in self.plans:
            terminalreporter.write_sep("-", f"{plan.task.name}: first prompt")
            terminalreporter.write_line(printable(plan.first.rstrip()))
        terminalreporter.write_sep("=", "dry run: nothing was asked")
        for plan in self.plans:
            for line in plan_lines(plan):
                terminalreporter.write_line(printable(line), red=line.startswith("  ") and "cannot be asked" in line)
        requests = sum(round(p.num_requests * p.scale) for p in self.plans)
        tokens = sum(round(sum(p.input_tokens) * p.scale) for p in self.plans)
        with_tokens = f" with {tokens:,} input tokens" if tokens else ""
        terminalreporter.write_line(f"{counted(len(self.plans), 'task')}, {counted(requests, 'request')}{with_tokens}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take the place of the run, where the user asks for it."""
    session = session_of(config)
    if not session.settings.dry_run:
        return
    if session.is_worker or session.is_distributed:
        text = explain("a dry run needs one process", where="--lmms-dry-run with -n", remedy="leave -n out")
        raise pytest.UsageError(str(UsageError(text)))
    config.pluginmanager.register(DryRun(config), "lmms-dry-run")
