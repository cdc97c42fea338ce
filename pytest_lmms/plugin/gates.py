"""Gates: read before anything runs, judged when the results are made, told as test cases.

Decides nothing itself (see `results.gate`). A failed gate is a failed report, so that the exit code, `--junitxml` and
the list of failures know it; plugins that remember failed tests are not told, because no gate can be run again alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lmms.errors import LmmsError, UsageError, counted, explain
from pytest_lmms.plugin.demands import demanded
from pytest_lmms.plugin.paths import may_hold_tasks
from pytest_lmms.plugin.runs import num_judged_runs
from pytest_lmms.plugin.session import LmmsSession, session_of

if TYPE_CHECKING:
    from pytest_lmms.results.rules import Gate
    from pytest_lmms.results.runs import StoredRun
    from pytest_lmms.results.verdict import Verdict

_REMEMBER = ("lfplugin", "nfplugin", "stepwiseplugin")
"""Plugins of pytest that choose what to run next time."""
_OUTCOMES = {"pass": "passed", "fail": "failed", "unjudged": "failed", "inconclusive": "skipped"}


class Gates:
    """What the user demands of this run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.session: LmmsSession = session_of(config)
        self.gates: list[Gate] = demanded(self.session)
        self.baseline: StoredRun | None = None
        self.verdicts: list[Verdict] = []
        self.run: StoredRun | None = None
        self.are_told = False
        """Whether the verdicts stand on the terminal."""
        self.is_default = False
        """Whether regressions are only shown, because the user named a baseline and no rule."""

    @property
    def store(self) -> Path:
        """Where named baselines lie."""
        from pytest_lmms.results.baselines import STORE

        return Path(self.config.rootpath) / STORE

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Read the baseline before anything is collected, so that a wrong one is told at once."""
        if self.config.option.collectonly or not may_hold_tasks(self.config):
            return
        try:
            self._read_baseline()
        except LmmsError as e:
            raise pytest.UsageError(str(e)) from e

    def _read_baseline(self) -> None:
        settings = self.session.settings
        needing = [g for g in self.gates if g.needs_baseline]
        if settings.shard is not None and (self.gates or settings.baseline or settings.save_baseline):
            text = "judge all shards together: `pytest-lmms merge RUN ...`, then `pytest-lmms gate`"
            raise UsageError(explain("a shard is no whole run", where="--lmms-shard with gates", remedy=text))
        if settings.baseline is not None:
            from pytest_lmms.results.baselines import find_baseline

            where = settings.sources.get("baseline", "--lmms-baseline")
            self.baseline = find_baseline(settings.baseline, self.store, where=where)
        elif needing:
            raise UsageError(
                explain(
                    f"the rule {needing[0]} needs something to compare with",
                    where=needing[0].where,
                    remedy="name a run with --lmms-baseline PATH, or one saved before with --lmms-baseline last:NAME",
                )
            )
        if (self.baseline is not None or settings.save_baseline) and not settings.log_samples:
            raise UsageError(
                explain(
                    "documents can only be compared when they are written",
                    where=settings.sources.get("log_samples", "--no-lmms-log-samples"),
                    remedy="leave --lmms-log-samples on",
                )
            )

    # --- the end of a run ----------------------------------------------------------------------------------------

    def judge(self, session: pytest.Session, run_folder: Path, paths: Mapping[str, Path]) -> Mapping[str, Any] | None:
        """Judge a run whose results are written, and report each verdict like a test.

        Args:
            session: Whose exit code a failed gate changes.
            run_folder: With results.json.
            paths: Task to its YAML, which may hold gates.

        Returns:
            The `gates` section of results.json; None where nothing is demanded.
        """
        from pytest_lmms.results.gate import judge, summary
        from pytest_lmms.results.rules import DEFAULT_RULE, Gate
        from pytest_lmms.results.runs import read_run
        from pytest_lmms.tasks.load import load_from

        gates = [*self.gates, *self._of_tasks(paths)]
        if self.baseline is not None and not any(g.needs_baseline for g in gates):
            self.is_default = True
            gates.append(
                Gate(rule=DEFAULT_RULE, where="--lmms-baseline (shown only; --lmms-fail-on-regression judges)")
            )
        if not gates:
            return None
        self.run = read_run(run_folder)
        if self.run.results["status"] == "interrupted":
            self.session.notices.append(f"{counted(len(gates), 'gate')} not judged: the run was cut short")
            return None
        is_whole = bool(self.run.results.get("complete"))
        left_out = [g for g in gates if g.whole_only and not is_whole]
        if left_out:
            why = self.run.results.get("incomplete_because")
            self.session.notices.append(
                f"{counted(len(left_out), 'gate')} of task YAMLs not judged: only complete runs are ({why})"
            )
        gates = [g for g in gates if g not in left_out]
        num_runs = num_judged_runs(self.config)
        self.verdicts = judge(
            self.run, gates, self.baseline, num_runs=num_runs,
            find_task=lambda name: load_from(paths[name], name) if name in paths else None,
        )  # fmt: skip
        self._write_step_summary()
        for verdict in self.verdicts:
            if not (self.is_default and verdict.gate.needs_baseline):
                self._report(verdict)
        return summary(self.verdicts, self.run, self.baseline, num_runs=num_runs)

    def _of_tasks(self, paths: Mapping[str, Path]) -> list[Gate]:
        """Gates of task YAMLs; those about a baseline only where there is one."""
        from pytest_lmms.results.rules import gates_of_task
        from pytest_lmms.tasks.load import load_from

        found: list[Gate] = []
        for name, path in paths.items():
            task = load_from(path, name)
            if task.spec.gates:
                found += gates_of_task(name, task.spec.gates, task.where("gates"))
        return [g for g in found if self.baseline is not None or not g.needs_baseline]

    def _report(self, verdict: Verdict) -> None:
        """Tell the terminal, JUnit and pytest's own count of failures."""
        from pytest_lmms.results.gate_report import verdict_lines

        assert self.run is not None  # noqa: S101
        outcome: Any = _OUTCOMES[verdict.outcome]
        file, name = f"gates/{verdict.metric.task if verdict.metric else 'run'}", verdict.name
        lines = "\n".join(verdict_lines(verdict, self.run))
        longrepr: Any = {"failed": lines, "skipped": (file, 0, verdict.reason), "passed": None}[outcome]
        report = pytest.TestReport(
            nodeid=f"{file}::{name}", location=(file, None, name), keywords={}, outcome=outcome, longrepr=longrepr,
            when="call", sections=[("verdict", lines)] if outcome == "passed" else (),
        )  # fmt: skip
        report.lmms_gate = verdict.outcome  # type: ignore[attr-defined]
        manager = self.config.pluginmanager
        remembering = [p for n in _REMEMBER if (p := manager.get_plugin(n)) is not None]
        manager.subset_hook_caller("pytest_runtest_logreport", remembering)(report=report)

    def _write_step_summary(self) -> None:
        """Add to the page of a GitHub Actions step."""
        from pytest_lmms.results.gate_report import markdown

        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if not path or self.run is None:
            return
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(markdown(self.verdicts, self.run, self.baseline))
        except OSError as e:
            self.session.notices.append(f"GITHUB_STEP_SUMMARY could not be written: {e}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """Count gates like tests; draw no dots for them."""
        outcome = getattr(report, "lmms_gate", None)
        if outcome is None:
            return None
        category = {"pass": "passed", "inconclusive": "inconclusive"}.get(outcome, "failed")
        if self.are_told:  # what is left is pytest's list of failures
            return category, "", category.upper()
        return category, "", outcome.upper() if self.config.get_verbosity() > 0 else ""

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print every verdict."""
        from pytest_lmms.results.gate_report import verdict_line, verdict_lines

        self.are_told = True
        if not self.verdicts or self.run is None:
            return
        against = f" (baseline {self.baseline.name})" if self.baseline is not None else ""
        terminalreporter.write_sep("=", f"gates{against}")
        for verdict in self.verdicts:
            color = {"pass": "green", "inconclusive": "yellow"}.get(verdict.outcome, "red")
            terminalreporter.write_line(verdict_line(verdict), **{color: True})
            is_told = verdict.is_failure and not self.is_default  # among the failures, above
            if verdict.outcome != "pass" and not is_told:
                for line in list(verdict_lines(verdict, self.run))[1:]:
                    terminalreporter.write_line(line)
        if self.is_default:
            terminalreporter.write_line("Differences are shown only: --lmms-fail-on-regression lets them fail the run.")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Save the run as a baseline, unless it failed."""
        name = self.session.settings.save_baseline
        if name is None or self.session._run_path is None:
            return
        if exitstatus != pytest.ExitCode.OK:
            self.session.notices.append(f"not saved as baseline {name}: the run failed (exit code {int(exitstatus)})")
            return
        from pytest_lmms.results.baselines import save_baseline

        try:
            path = save_baseline(self.store, name, self.session.run_path)
        except (LmmsError, OSError) as e:
            self.session.notices.append(f"not saved as baseline {name}: {e}")
            return
        with contextlib.suppress(ValueError):
            path = path.relative_to(self.config.rootpath)
        self.session.notices.append(f"saved as baseline {name}: {path} (--lmms-baseline last:{name})")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep the gates in the process that the user started."""
    if session_of(config).is_worker:
        return
    try:
        config.pluginmanager.register(Gates(config), "lmms-gates")
    except LmmsError as e:
        raise pytest.UsageError(str(e)) from e
