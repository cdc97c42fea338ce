"""`pytest-lmms view`: the page over a folder of runs, answered on this machine from what lies there now."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pytest_lmms.errors import LmmsError, StoreError, explain
from pytest_lmms.results.runs import StoredRun, read_run
from pytest_lmms.viewer.data import comparison, problem, records, summarise
from pytest_lmms.viewer.media import Documents
from pytest_lmms.viewer.page import make_page

MAX_DEPTH = 4
"""How far below the folder runs are looked for."""
WAIT_SECONDS = 30.0
"""For the next request on a connection, and for the rest of one."""
KEPT_RUNS = 8
"""Runs whose tasks stay open."""


class Runs:
    """The runs below a folder, by their place in it."""

    def __init__(self, folder: Path, elsewhere: Callable[[], Mapping[str, Path]] = dict) -> None:
        """Look at nothing yet.

        Args:
            folder: With runs; keys are places below it.
            elsewhere: Other folders with runs, by the first part of their runs' keys; asked each time.

        Raises:
            StoreError: There is no such folder.
        """
        if not folder.is_dir():
            raise StoreError(explain("no such folder", where=str(folder), expected="a run folder, or one with runs"))
        self.folder = folder.resolve()
        self._elsewhere = elsewhere
        self._summaries: dict[str, tuple[int, dict[str, Any]]] = {}
        self._documents: OrderedDict[str, tuple[int, Documents]] = OrderedDict()
        self._lock = threading.Lock()

    def summaries(self) -> list[dict[str, Any]]:
        """All runs, the newest first; one that cannot be read has `problem` instead of numbers."""
        found = []
        for key, folder in self._keys():
            changed = _changed(folder)
            kept = self._summaries.get(key)
            if kept is None or kept[0] != changed:
                kept = self._summaries[key] = changed, self._summary(folder, key)
            found.append(kept[1])
        return sorted(found, key=lambda s: str(s.get("date") or s["name"]), reverse=True)

    def _summary(self, folder: Path, key: str) -> dict[str, Any]:
        try:
            return summarise(read_run(folder), key)
        except Exception as e:  # noqa: BLE001  (one broken run must not hide the others)
            text = problem(e) if isinstance(e, LmmsError) else f"cannot be read: {type(e).__name__}: {e}"
            return {"key": key, "name": folder.name, "problem": text}

    def _keys(self) -> Iterator[tuple[str, Path]]:
        for folder in run_folders(self.folder):
            yield folder.relative_to(self.folder).as_posix() or ".", folder
        for name, top in self._elsewhere().items():
            for folder in run_folders(top):
                yield f"{name}/{folder.relative_to(top).as_posix()}", folder

    def run(self, key: str) -> StoredRun:
        """The run of a key.

        Raises:
            StoreError: There is none below the folder, or it cannot be read.
        """
        return read_run(self._place(key)[1])

    def _place(self, key: str) -> tuple[Path, Path]:
        """The folder that is shown, and that of a run in it.

        Raises:
            StoreError: The key leads out of it.
        """
        name, _, rest = key.partition("/")
        other = self._elsewhere().get(name)
        top, place = (self.folder, key) if other is None else (other.resolve(), rest)
        path = (top / place).resolve()
        if path != top and top not in path.parents:
            raise StoreError(explain("no run here", where=key, expected="a run below the folder that is shown"))
        return top, path

    def records(self, key: str, task: str) -> list[dict[str, Any]]:
        """The records of a task."""
        run = self.run(key)
        if task not in run.tasks:
            raise StoreError(explain(f"no task {task!r} in this run", where=key))
        return list(records(run, task)) if run.samples_path(task).is_file() else []

    def documents(self, key: str) -> Documents:
        """What its documents looked like; kept open for the runs that were looked at last."""
        run = self.run(key)
        changed = _changed(run.path.parent)
        with self._lock:
            kept = self._documents.pop(key, None)
            if kept is None or kept[0] != changed:
                kept = changed, Documents(run, no_code_below=_of_strangers(*self._place(key)))
            self._documents[key] = kept
            while len(self._documents) > KEPT_RUNS:
                self._documents.popitem(last=False)
            return kept[1]

    def comparison(self, key: str, baseline: str) -> dict[str, Any]:
        """A run beside another."""
        return comparison(self.run(key), self.run(baseline))


def _of_strangers(top: Path, folder: Path) -> Path:
    """The folder that came with a run, as far as anybody can tell: a run says which file its task is.

    Args:
        top: The folder that is shown.
        folder: The run's.
    """
    if not Path.cwd().is_relative_to(top):
        return top
    return top.joinpath(*folder.relative_to(top).parts[:1])  # tasks may well lie below this one


def run_folders(top: Path) -> list[Path]:
    """Folders with a run in them, finished or not."""
    found, pending = [], [(top, 0)]
    while pending:
        folder, depth = pending.pop()
        try:
            entries = list(folder.iterdir())
        except OSError:
            continue
        names = {e.name for e in entries}
        if "results.json" in names or "run.json" in names or any(n.endswith("_results.json") for n in names):
            found.append(folder)
            if folder != top:
                continue
        if depth < MAX_DEPTH:
            pending.extend((e, depth + 1) for e in entries if e.is_dir() and not e.is_symlink())
    return found


def _changed(folder: Path) -> int:
    """A number that is another one once the run has changed."""
    for name in ("results.json", "run.json"):
        try:
            return (folder / name).stat().st_mtime_ns
        except OSError:
            continue
    return 0


# --- HTTP ---------------------------------------------------------------------------------------------------------


def answer(runs: Runs, path: str, query: Mapping[str, str]) -> tuple[int, str, bytes]:
    """What a request gets.

    Args:
        runs: What is shown.
        path: Of the address: `/`, or one of `/api/...`.
        query: Of the address.

    Returns:
        HTTP status, mime type and body.
    """
    if path == "/":
        return 200, "text/html; charset=utf-8", make_page(None, title="Runs · pytest-lmms").encode()
    if path == "/api/media":
        return _guarded(lambda: (200, *runs.documents(query["run"]).medium(*_place(query))))
    if path == "/api/film":
        return _guarded(lambda: (200, *runs.documents(query["run"]).film(*_place(query))))
    calls: dict[str, Callable[[], Any]] = {
        "/api/runs": runs.summaries,
        "/api/records": lambda: runs.records(query["run"], query["task"]),
        "/api/messages": lambda: runs.documents(query["run"]).messages(query["task"], int(query["id"])),
        "/api/compare": lambda: runs.comparison(query["run"], query["baseline"]),
    }
    if path not in calls:
        return _problem(404, "there is nothing here")
    return _guarded(lambda: (200, "application/json", json.dumps(calls[path](), allow_nan=False).encode()))


def _place(query: Mapping[str, str]) -> tuple[str, int, int]:
    return query["task"], int(query["id"]), int(query["place"])


def _guarded(call: Callable[[], tuple[int, str, bytes]]) -> tuple[int, str, bytes]:
    try:
        return call()
    except KeyError as e:
        return _problem(400, f"the address lacks {e}")
    except ValueError as e:
        return _problem(400, f"the address has a wrong value: {e}")
    except LmmsError as e:
        return _problem(404, problem(e))
    except Exception as e:  # noqa: BLE001  (a task's own code)
        return _problem(404, f"{type(e).__name__}: {e}")


def _problem(status: int, text: str) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps({"detail": text}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no news."""


def make_server(runs: Runs, host: str, port: int) -> ThreadingHTTPServer:
    """A server that answers browsers on this machine, once `serve_forever` is called.

    Raises:
        OSError: It cannot listen there.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = WAIT_SECONDS
        disable_nagle_algorithm = True  # head and body are two writes: the second would wait for an acknowledgement

        def do_GET(self) -> None:
            try:
                name = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
                parts = urlsplit(self.path)
                query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
            except ValueError:  # of brackets that do not close, or too many fields
                name = ""
            if name not in ("127.0.0.1", "localhost", "::1", host):  # a page of another site, by a name of its own
                status, mime, body = _problem(403, "this server answers this machine only")
            else:
                status, mime, body = answer(runs, parts.path, query)
            self.send_response(status)
            self.send_header("Content-Type", mime)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "max-age=3600" if parts_are_media(self.path) else "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    return _Server((host, port), Handler)


def parts_are_media(path: str) -> bool:
    """Whether an address is that of a picture or sound, which does not change."""
    return path.startswith(("/api/media", "/api/film"))
