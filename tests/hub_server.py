"""A Hub on this machine: enough of its HTTP interface for the real `huggingface_hub` and `datasets`, with faults."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import re
import socket
import threading
import urllib.parse
from dataclasses import dataclass, field

_API = re.compile(r"/api/datasets/(?P<id>[^/]+/[^/]+)(?:/(?P<verb>revision|tree|paths-info)/(?P<rest>.*))?$")
_WRITE = re.compile(r"/api/datasets/(?P<id>[^/]+/[^/]+)/(?P<verb>preupload|commit)/.*$")
_FILE = re.compile(r"/datasets/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.*)$")


@dataclass
class Hub:
    """Datasets and their faults. `asked` lists (method, path, Range header) of every request."""

    datasets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Id to its files."""
    gated: dict[str, int] = field(default_factory=dict)
    """Id to 401 or 403."""
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    """Path to the number of bytes after which each next answer is cut off."""
    broken: dict[str, int] = field(default_factory=dict)
    """Path to the number of 503 answers to a GET before it works."""
    account: dict[str, object] | None = field(
        default_factory=lambda: {"name": "me", "orgs": [], "auth": {"accessToken": {"role": "write"}}}
    )
    """Whose token every token is; None refuses all."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    endpoint: str = ""

    def commit(self, name: str) -> str:
        digest = hashlib.sha1(name.encode())
        for path, data in sorted(self.datasets[name].items()):
            digest.update(path.encode() + data)
        return digest.hexdigest()

    def ranges(self, path: str) -> list[str | None]:
        return [r for method, p, r in self.asked if method == "GET" and p.endswith(path)]


@contextlib.contextmanager
def running(hub: Hub):
    """Serve a hub on a free port of the loopback interface."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: Hub

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        chunked = "chunked" in (self.headers.get("Transfer-Encoding") or "")
        self._body = self._chunks() if chunked else self.rfile.read(length)
        path = urllib.parse.unquote(self.path.partition("?")[0])
        if (written := _WRITE.match(path)) or path == "/api/repos/create":
            self.hub.asked.append(("POST", path, None))
            return self._create() if written is None else self._write(written["id"], written["verb"])
        return self._answer()

    def _chunks(self):
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _create(self):
        """Make a repository; one that exists is fine with `exist_ok`."""
        asked = json.loads(self._body)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if name in self.hub.datasets:
            return self._refuse(409, "", "You already created this dataset repo")
        self.hub.datasets[name] = {}
        return self._json({"url": f"{self.hub.endpoint}/datasets/{name}", "name": name, "id": name})

    def _write(self, name, verb):
        """Take a commit whose files are in its body."""
        if verb == "preupload":
            files = json.loads(self._body)["files"]
            return self._json(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
            )
        for line in self._body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                self.hub.datasets[name][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        commit = self.hub.commit(name)
        url = f"{self.hub.endpoint}/datasets/{name}/commit/{commit}"
        return self._json({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    def _answer(self):
        path = urllib.parse.unquote(self.path.partition("?")[0])
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if path == "/api/whoami-v2":
            known = self.hub.account
            return self._refuse(401, "", "Invalid credentials") if known is None else self._json(known)
        match = _API.match(path) or _FILE.match(path)
        if match is None or match["id"] not in self.hub.datasets:
            return self._refuse(404, "RepoNotFound", "Repository not found")
        name = match["id"]
        if name in self.hub.gated:
            return self._refuse(self.hub.gated[name], "GatedRepo", f"Access to dataset {name} is restricted.")
        if match.re is _FILE:
            return self._file(name, match["revision"], match["path"])
        return self._api(name, match["verb"], match["rest"] or "")

    def _api(self, name, verb, rest):
        commit, files = self.hub.commit(name), self.hub.datasets[name]
        revision, _, under = rest.partition("/")
        if verb and revision not in ("main", commit):
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        entries = [_entry(p, d) for p, d in sorted(files.items())]
        if verb in (None, "revision"):
            siblings = [{"rfilename": p} for p in sorted(files)]
            return self._json({"id": name, "sha": commit, "siblings": siblings, "private": False, "gated": False,
                               "disabled": False, "tags": []})  # fmt: skip
        if verb == "tree":
            return self._tree(entries, under, deep="recursive=true" in self.path.lower())
        body = self._body.decode()
        wanted = json.loads(body)["paths"] if body.startswith("{") else urllib.parse.parse_qs(body).get("paths", [])
        return self._json([e for e in entries if e["path"] in wanted])

    def _tree(self, entries, under, *, deep):
        prefix = f"{under.rstrip('/')}/" if under else ""
        inside = [e for e in entries if e["path"].startswith(prefix)]
        if prefix and not inside:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        rests = [e["path"].removeprefix(prefix).split("/") for e in inside]
        depths = range(1, max(map(len, rests), default=1)) if deep else [1]
        folders = {prefix + "/".join(r[:d]) for r in rests for d in depths if len(r) > d}
        files = [e for e, r in zip(inside, rests, strict=True) if deep or len(r) == 1]
        return self._json(
            [{"type": "directory", "path": f, "oid": "0" * 40, "size": 0} for f in sorted(folders)] + files
        )

    def _file(self, name, revision, path):
        commit, files = self.hub.commit(name), self.hub.datasets[name]
        if revision not in ("main", commit):
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if path not in files:
            return self._refuse(404, "EntryNotFound", "Entry not found", commit)
        if self.command == "GET" and self.hub.broken.get(path, 0) > 0:
            self.hub.broken[path] -= 1
            return self._refuse(503, "", "Service Unavailable")
        data, total = files[path], len(files[path])
        start = 0
        if asked := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start = int(asked[1])
            data = data[: int(asked[2]) + 1] if asked[2] else data
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{hashlib.sha1(files[path]).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{total}")
        self.end_headers()
        if self.command != "GET":
            return None
        cuts = self.hub.cut_after.get(path)
        if not cuts:
            self.wfile.write(data[start:])
            return None
        self.wfile.write(data[start : start + cuts.pop(0)])
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
        return None

    def _json(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status, code, message, commit=None):
        data = json.dumps({"error": message}).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _entry(path, data):
    return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
