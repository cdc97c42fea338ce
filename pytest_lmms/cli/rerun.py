"""`pytest-lmms rerun RESULTS`: evaluate again, with the settings and the documents of an earlier run."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_lmms.cli.config import selection
from pytest_lmms.cli.shared import read_results, start_pytest
from pytest_lmms.results.remote import fetch_run, is_remote

FETCHED = Path(".lmms/fetched")
"""Where a run of another place is copied to; pytest reads it after this process has ended."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser.add_argument("results", metavar="RESULTS", help="a results.json, a run folder, or an address of one")
    text = "go to pytest, and win over what the file says: --lmms-limit 8, -n 2"
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help=text)
    parser.set_defaults(run=_rerun)


def _rerun(parsed: argparse.Namespace) -> int:
    path = fetch_run(parsed.results, FETCHED, where="rerun") if is_remote(parsed.results) else Path(parsed.results)
    results = read_results(path)
    file = path / "results.json" if path.is_dir() else path
    return start_pytest([f"--lmms-config={file}", *selection(results), *parsed.arguments])
