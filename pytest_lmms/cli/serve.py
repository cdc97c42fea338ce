"""`pytest-lmms serve`: evaluation over HTTP, for training runs and other programs."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_lmms.cli.shared import OK
from pytest_lmms.errors import UsageError, explain

if TYPE_CHECKING:
    from pytest_lmms.server.app import ServerSettings

TOKEN = "LMMS_SERVER_TOKEN"  # noqa: S105  (the name of a variable)
KEEP_ALIVE_SECONDS = 75
"""Of a connection on which nobody asks; more than clients wait between two polls, so that none meets its end."""
EPILOG = f"""\
Variables of the server reach its jobs. Any --host but this machine needs a token: clients send {TOKEN}'s value as
`Authorization: Bearer ...`. Put a proxy that speaks TLS in front where the network is not yours."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    add_server_arguments(parser)
    parser.epilog = EPILOG
    parser.set_defaults(run=serve)


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the server listens and what jobs may name."""
    from pytest_lmms.server.policy import VARIABLES

    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; default: %(default)s, this machine")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0 takes a free one")
    text = "folder of the queue, logs and runs; default: %(default)s"
    parser.add_argument("--data-dir", type=Path, default=Path(".lmms/server"), metavar="DIR", help=text)
    text = "GPUs, 0,1,2, each with one job at a time; default: all that this process may use, or cpu"
    parser.add_argument("--devices", metavar="LIST", help=text)
    for name, metavar, text in (
        ("include-path", "DIR", "folder with tasks of your own"),
        ("output-root", "DIR", "folder that a job's output_dir may lie in; default: results, here"),
        ("path-root", "DIR", "folder that a job's checkpoints may lie in; default: the current folder"),
        ("allow-model", "NAME", "model that a job may name; default: every one"),
        ("allow-env", "NAME", "variable that a job may set or use; default: " + ", ".join(VARIABLES)),
        ("allow-url", "URL", "beginning of addresses that a job may name; this machine's are always allowed"),
    ):
        help_text = f"{text}; may be given several times"
        parser.add_argument(f"--{name}", action="append", default=[], metavar=metavar, help=help_text)
    text = "let a job ask for trust_remote_code, what a checkpoint brings along, or mcp_server_path, a program"
    parser.add_argument("--allow-remote-code", action="store_true", help=text)


def server_settings(parsed: argparse.Namespace) -> ServerSettings:
    """What the arguments say.

    Raises:
        UsageError: No token for other machines, a folder that does not exist, a model that does not.
    """
    from pytest_lmms import catalog
    from pytest_lmms.registry import MODELS
    from pytest_lmms.server.app import ServerSettings
    from pytest_lmms.server.devices import found_devices
    from pytest_lmms.server.policy import VARIABLES, Policy, is_loopback

    token = os.environ.get(TOKEN) or None
    if not is_loopback(parsed.host) and token is None:
        text = "other machines would reach this server, and anyone there could run jobs"
        raise UsageError(
            explain(text, where=f"--host {parsed.host}", remedy=f"export {TOKEN}=..., which clients then have to send")
        )
    folders = [_folder(text, "--include-path") for text in parsed.include_path]
    devices = [d.strip() for d in parsed.devices.split(",") if d.strip()] if parsed.devices else None
    policy = Policy(
        output_roots=tuple(Path(p).resolve() for p in parsed.output_root or ["results"]),
        path_roots=tuple(_folder(p, "--path-root") for p in parsed.path_root or ["."]),
        models=frozenset(map(MODELS.canonical, parsed.allow_model)) if parsed.allow_model else None,
        variables=tuple(parsed.allow_env) or VARIABLES,
        urls=tuple(parsed.allow_url),
        allows_remote_code=parsed.allow_remote_code,
    )
    return ServerSettings(
        data_dir=parsed.data_dir.resolve(),
        policy=policy,
        devices=tuple(devices) if devices else found_devices(os.environ),
        task_roots=(catalog.folder("benchmarks"), *folders),
        token=token,
    )


def _folder(text: str, option: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise UsageError(explain("no such folder", where=f"{option} {text}"))
    return path


def serve(parsed: argparse.Namespace, *, open_browser: bool = False) -> int:
    """Serve until interrupted.

    Args:
        parsed: Of `add_server_arguments`.
        open_browser: Show the page.

    Raises:
        UsageError: A library is missing, a wrong argument, or it cannot listen there.
        StoreError: Another server uses the folder.
    """
    try:
        import uvicorn

        from pytest_lmms.server.again import RepeatedRequests
        from pytest_lmms.server.app import make_app
    except ImportError as e:
        remedy = 'pip install "pytest-lmms[serve]"'
        raise UsageError(explain(f"the server needs {e.name}", where="pytest-lmms serve", remedy=remedy)) from e
    settings = server_settings(parsed)
    app = make_app(settings)
    listening = listen(parsed.host, parsed.port)
    port = listening.getsockname()[1]
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    print(f"pytest-lmms serves at http://{host}:{port} on {', '.join(settings.devices)}; Ctrl-C stops", flush=True)
    if open_browser:
        import webbrowser

        webbrowser.open(f"http://{host}:{port}")
    config = uvicorn.Config(
        app, http=RepeatedRequests, log_level="warning", access_log=False, timeout_graceful_shutdown=5,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with contextlib.suppress(KeyboardInterrupt):  # raised again when everything has been put away
        server.run(sockets=[listening])
    return OK


def listen(host: str, port: int) -> socket.socket:
    """A socket whose connections send what they have at once.

    asyncio turns Nagle's algorithm off for sockets that name their protocol only; with it a kept connection waits for
    the other side's delayed acknowledgement, 40 ms an answer.

    Raises:
        UsageError: It cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as e:
        listening.close()
        raise UsageError(explain(f"cannot listen there: {e.strerror}", where=f"--host {host} --port {port}")) from e
    listening.listen()
    return listening
