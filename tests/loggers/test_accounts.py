"""Accounts of trackers, looked at before a run: W&B against a server of this machine."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading

import pytest

from pytest_lmms.errors import UsageError
from pytest_lmms.loggers import wandb


@contextlib.contextmanager
def serving(viewer, status=200):
    """A W&B that says whose a key is; yields its address and the keys it was shown."""
    keys = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            keys.append(base64.b64decode(self.headers["Authorization"].split()[1]).decode().partition(":")[2])
            body = json.dumps({"data": {"viewer": viewer}}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", keys
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """No account but what a test sets."""
    for name in ("MODE", "API_KEY", "BASE_URL", "DIR", "IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.chdir(tmp_path)


def test_a_key_that_is_taken_is_asked_about_once(monkeypatch):
    with serving({"username": "me"}) as (url, keys):
        monkeypatch.setenv("WANDB_BASE_URL", url)
        monkeypatch.setenv("WANDB_API_KEY", "k1")
        wandb.check("here", project="p")
    assert keys == ["k1"]


def test_the_key_that_a_login_left_is_found(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1\n  login user\n  password k2\n")
    with serving({"username": "me"}) as (url, keys):
        monkeypatch.setenv("WANDB_BASE_URL", url)
        wandb.check("here")
    assert keys == ["k2"]


@pytest.mark.parametrize(("viewer", "status"), [(None, 200), (None, 401)])
def test_a_key_that_is_refused_is_told(monkeypatch, viewer, status):
    monkeypatch.setenv("WANDB_API_KEY", "old")
    with serving(viewer, status) as (url, _):
        monkeypatch.setenv("WANDB_BASE_URL", url)
        with pytest.raises(UsageError, match="refuses the key"):
            wandb.check("here")


def test_no_key_is_told_with_what_to_do():
    with pytest.raises(UsageError, match=r"WANDB_API_KEY.*WANDB_MODE=offline"):
        wandb.check("--lmms-log-to")


def test_a_server_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match="does not answer"):
        wandb.check("here")


def test_a_run_that_stays_here_needs_no_account(monkeypatch, tmp_path):
    wandb.check("here", mode="offline")
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nmode = offline\n")
    wandb.check("here")
    (tmp_path / "wandb" / "settings").unlink()
    monkeypatch.setenv("WANDB_MODE", "disabled")
    wandb.check("here")
