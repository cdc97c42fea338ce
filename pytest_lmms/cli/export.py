"""`pytest-lmms export`: a finished run in another schema."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pytest_lmms.cli.shared import DIFFERS, OK


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    from pytest_lmms.results.every_eval_ever import RELATIONSHIPS

    text = "a run folder, an address of one, or results of lmms-eval"
    parser.add_argument("run_path", metavar="RUN", help=text)
    text = "every_eval_ever: one record a task, below data/<task>/<developer>/<model>/"
    parser.add_argument("--format", choices=("every_eval_ever",), default="every_eval_ever", help=text)
    parser.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)")
    parser.add_argument("--organization", required=True, metavar="NAME", help="who evaluated")
    text = "between who evaluated and who made the model (default third_party)"
    parser.add_argument("--relationship", choices=RELATIONSHIPS, default="third_party", help=text)
    parser.set_defaults(run=_export)


def _export(parsed: argparse.Namespace) -> int:
    from pytest_lmms.results.every_eval_ever import export, write_export
    from pytest_lmms.results.remote import local_runs
    from pytest_lmms.results.runs import read_run

    with local_runs([parsed.run_path], where="export") as (path,):
        run = read_run(path)
        records = export(run, organization=parsed.organization, relationship=parsed.relationship, now=time.time())
        paths = write_export(records, parsed.output)
    print(*paths, sep="\n")
    if not paths:
        print(f"{parsed.run_path}: no metric says whether more is better; nothing was written")
    return OK if paths else DIFFERS
