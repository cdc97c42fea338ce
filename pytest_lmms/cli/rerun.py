"""`pytest-lmms rerun RESULTS`: evaluate again, with the settings and the documents of an earlier run."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_lmms.cli.config import selection
from pytest_lmms.cli.shared import read_results, start_pytest


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="a results.json, or a run folder")
    text = "go to pytest, and win over what the file says: --lmms-limit 8, -n 2"
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help=text)
    parser.set_defaults(run=_rerun)


def _rerun(parsed: argparse.Namespace) -> int:
    results = read_results(parsed.results)
    file = parsed.results / "results.json" if parsed.results.is_dir() else parsed.results
    return start_pytest([f"--lmms-config={file}", *selection(results), *parsed.arguments])
