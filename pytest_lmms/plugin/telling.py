"""What the terminal says of a finished run: its table, what was lost, and where it lies."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmms.results.table import efficiency_line, flag_lines, results_table

if TYPE_CHECKING:
    from pytest_lmms.plugin.summary import Summary


def tell(terminalreporter: Any, summary: Summary) -> None:
    """Print it; the run has been finished."""
    results = summary.finished.results
    terminalreporter.write_sep("=", f"{results['config']['model'] or 'the model of your lmms_model fixture'}: results")
    for line in results_table(results):
        terminalreporter.write_line(line)
    if results["incomplete_because"]:
        terminalreporter.write_line(f"Not a complete benchmark: {results['incomplete_because']}.", yellow=True)
    for task, lost in summary.finished.lost.items():
        shown = ", ".join(map(str, lost[:10])) + (", ..." if len(lost) > 10 else "")
        terminalreporter.write_line(f"{task}: {len(lost)} documents have no record: {shown}", red=True)
    for complaint in summary.finished.complaints:
        terminalreporter.write_line(complaint, red=True)
    if summary.errors.groups:
        terminalreporter.write_line(f"Errored documents: {summary.errors.number:,}", red=True)
        for line in summary.errors.lines():
            terminalreporter.write_line(line)
    for line in flag_lines(results):
        terminalreporter.write_line(line, yellow=True)
    if (costs := efficiency_line(results)) is not None:
        terminalreporter.write_line(costs)
    path = summary.session.run_path
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    terminalreporter.write_line(f"Run folder: {path}")
    if (path / "report.html").is_file():
        terminalreporter.write_line(f"To look at: {path / 'report.html'}")
    if summary.uploaded is not None:
        terminalreporter.write_line(f"Copied to: {summary.uploaded}")
