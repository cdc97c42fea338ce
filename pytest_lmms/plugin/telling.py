"""What the terminal says of a finished run: its table, what was lost, and where it lies."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmms.printable import printable
from pytest_lmms.results.table import efficiency_line, flag_lines, not_computed_lines, results_table, unjudged_lines

if TYPE_CHECKING:
    from pytest_lmms.plugin.summary import Summary


def tell(terminalreporter: Any, summary: Summary) -> None:
    """Print it; the run has been finished."""

    def write(line: str, **markup: bool) -> None:
        """Write a line; names of metrics and what went wrong may hold a stranger's text."""
        terminalreporter.write_line(printable(line), **markup)

    results = summary.finished.results
    terminalreporter.write_sep("=", f"{results['config']['model'] or 'the model of your lmms_model fixture'}: results")
    for line in results_table(results):
        write(line)
    if results["incomplete_because"]:
        write(f"Not a complete benchmark: {results['incomplete_because']}.", yellow=True)
    for task, lost in summary.finished.lost.items():
        shown = ", ".join(map(str, lost[:10])) + (", ..." if len(lost) > 10 else "")
        write(f"{task}: {len(lost)} documents have no record: {shown}", red=True)
    for complaint in summary.finished.complaints:
        write(complaint, red=True)
    if summary.errors.groups:
        write(f"Errored documents: {summary.errors.number:,}", red=True)
        for line in summary.errors.lines():
            write(line)
    for line in flag_lines(results):
        write(line, yellow=True)
    for line in [*unjudged_lines(results), *not_computed_lines(results)]:
        write(line)
    if (costs := efficiency_line(results)) is not None:
        write(costs)
    path = summary.session.run_path
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    write(f"Run folder: {path}")
    if (path / "report.html").is_file():
        write(f"To look at: {path / 'report.html'}")
    if summary.uploaded is not None:
        write(f"Copied to: {summary.uploaded}")
