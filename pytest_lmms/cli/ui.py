"""`pytest-lmms ui`: the server with its page open in a browser."""

from __future__ import annotations

import argparse

from pytest_lmms.cli.serve import EPILOG, add_server_arguments, serve


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    add_server_arguments(parser)
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.epilog = EPILOG
    parser.set_defaults(run=lambda parsed: serve(parsed, open_browser=not parsed.no_browser))
