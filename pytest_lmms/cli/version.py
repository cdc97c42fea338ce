"""`pytest-lmms version`."""

from __future__ import annotations

import argparse
from importlib.metadata import PackageNotFoundError, version

from pytest_lmms.cli.shared import OK
from pytest_lmms.errors import UsageError, explain


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser.set_defaults(run=_version)


def _version(_: argparse.Namespace) -> int:
    try:
        print(version("pytest-lmms"))
    except PackageNotFoundError as e:
        raise UsageError(explain("pytest-lmms is not installed: no version", remedy="run `pip install .`")) from e
    return OK
