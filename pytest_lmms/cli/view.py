"""`pytest-lmms view [DIR]`: runs in a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_lmms.cli.shared import OK
from pytest_lmms.errors import UsageError, explain


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    text = "a run folder, or a folder with runs below it; default: %(default)s"
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results"), metavar="DIR", help=text)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; default: %(default)s, this machine")
    parser.add_argument("--port", type=int, default=7862, help="default: %(default)s; 0 takes a free one")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    text = "write report.html into the run folder, and serve nothing"
    parser.add_argument("--report", action="store_true", help=text)
    parser.set_defaults(run=_view)


def _view(parsed: argparse.Namespace) -> int:
    if parsed.report:
        from pytest_lmms.viewer.report import write_report

        print(write_report(parsed.folder, picture_seconds=60))
        return OK
    from pytest_lmms.viewer.live import Runs, make_server

    runs = Runs(parsed.folder)
    try:
        server = make_server(runs, parsed.host, parsed.port)
    except OSError as e:
        where = f"--host {parsed.host} --port {parsed.port}"
        raise UsageError(explain(f"cannot listen there: {e.strerror}", where=where, remedy="--port 0")) from e
    address = f"http://{parsed.host}:{server.server_address[1]}"
    print(f"{runs.folder} at {address}; Ctrl-C stops", flush=True)
    if not parsed.no_browser:
        import webbrowser

        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
    return OK
