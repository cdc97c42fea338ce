"""`pytest-lmms version`: of this package, and of what a score may depend on."""

from __future__ import annotations

import argparse
from importlib.metadata import PackageNotFoundError, version

from pytest_lmms.cli.shared import OK, add_json, print_json, print_table
from pytest_lmms.errors import UsageError, explain


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser.add_argument("--all", action="store_true", help="also of Python and of the libraries that scores depend on")
    text = "what works on this machine, and what to install for the rest; takes some seconds"
    parser.add_argument("--check", action="store_true", help=text)
    add_json(parser)
    parser.set_defaults(run=_version)


def _version(parsed: argparse.Namespace) -> int:
    if parsed.check:
        from pytest_lmms.doctor import examine, main

        if not parsed.json:
            return main()
        print_json([finding._asdict() for finding in examine()])
        return OK
    try:
        own = version("pytest-lmms")
    except PackageNotFoundError as e:
        raise UsageError(explain("pytest-lmms is not installed: no version", remedy="run `pip install .`")) from e
    if not (parsed.all or parsed.json):
        print(own)
        return OK
    from pytest_lmms.surroundings import versions

    found = versions()
    (print_json if parsed.json else print_table)(found)
    return OK
