"""`pytest-lmms compare`: runs side by side, paired document by document; or a run beside published scores."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_lmms.cli.shared import DIFFERS, OK, add_include_path, finder_of, print_json
from pytest_lmms.errors import UsageError, counted, explain
from pytest_lmms.results.remote import local_runs

if TYPE_CHECKING:
    from pytest_lmms.results.runs import StoredRun


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    text = (
        "run folders, results.json files, addresses of such, last:NAME, or results of lmms-eval; the first is what the"
        " others are compared with. RUN published: what others published for its tasks, and which settings differ"
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help=text)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON, with all documents that changed")
    output.add_argument("--markdown", action="store_true", help="print a Markdown table")
    text = "also name so many documents that got worse, as node ids (default 0)"
    parser.add_argument("--documents", type=int, default=0, metavar="N", help=text)
    add_include_path(parser)
    parser.set_defaults(run=_compare)


def _compare(parsed: argparse.Namespace) -> int:
    if len(parsed.runs) < 2:
        raise UsageError(explain("one run alone", where="compare", expected="two runs or more: the first, and others"))
    from pytest_lmms.results.published import NAME

    if len(parsed.runs) == 2 and parsed.runs[1] == NAME:
        if parsed.markdown or parsed.documents:
            raise UsageError(
                explain("published scores have no documents, and no table", where="compare", remedy="--json")
            )
        with local_runs(parsed.runs[:1], where="compare") as paths:
            return _beside_published(parsed, paths[0])
    with local_runs(parsed.runs, where="compare") as paths:
        return _compare_local(parsed, paths)


def _beside_published(parsed: argparse.Namespace, path: Path) -> int:
    from pytest_lmms.results.published import beside, lines, read_published

    found = beside(_read(path), read_published())
    if parsed.json:
        print_json([{**b.published._asdict(), "run": b.value, "settings": b.settings} for b in found])
    else:
        for each in found:
            print(*lines(each), sep="\n")
    if not found:
        print(f"{path}: no published score of its tasks is known (configs/published)", file=sys.stderr)
    return OK if found else DIFFERS


def _read(path: Path) -> StoredRun:
    from pytest_lmms.results.baselines import PREFIX, STORE, find_baseline
    from pytest_lmms.results.runs import read_run

    return find_baseline(str(path), Path(STORE), where="compare") if str(path).startswith(PREFIX) else read_run(path)


def _compare_local(parsed: argparse.Namespace, paths: Sequence[Path]) -> int:
    from pytest_lmms.results.compare_table import compare_all, markdown_table, rows, text_table, to_json

    runs = [_read(path) for path in paths]
    lines = compare_all(runs, find_task=finder_of(parsed))
    if not lines:
        print(f"{paths[0]}: this run has no metric to compare", file=sys.stderr)
    code = DIFFERS if not lines or any(line.comparison.obstacle for line in lines) else OK
    if parsed.json:
        print_json(to_json(runs[0], lines))
        return code
    cells = list(rows(runs[0], lines))
    print(*(markdown_table(cells) if parsed.markdown else text_table(cells)), sep="\n")
    notes = {f"{line.run.name}, {line.comparison.metric}: {n}" for line in lines for n in line.comparison.notes}
    resampled = any(str(line.comparison.test).endswith("bootstrap") for line in lines)
    of_what = "of the documents' mean scores" + (", or of a metric over all of them together" if resampled else "")
    print(f"\ndifference: {of_what}; p: two-sided, corrected by Holm's method, * below 0.05")
    for note in sorted(notes):
        print(note)
    for run in runs[1:]:
        if more := sorted({*run.tasks} - {*runs[0].tasks}):
            print(f"{run.name}: not compared, because the first run has not: {', '.join(more)}")
    for line in lines:
        worse = line.comparison.worse[: max(0, parsed.documents)]
        if worse:
            number = counted(len(line.comparison.worse), "document")
            print(f"\n{line.run.name}, {line.comparison.metric}: {number} got worse")
            print(*(f"  {line.run.node_id(line.comparison.metric.task, i)}" for i in worse), sep="\n")
    return code
