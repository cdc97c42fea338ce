"""A real HTTP server on loopback that speaks Perspective's `comments:analyze`, well or badly."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PerspectiveServer:
    """Says of a text how often it holds "rude", in tenths.

    `plan` holds (status, body, headers) of the next replies; `fails` makes one of a request's body, or None.
    """

    def __init__(self, key="secret-key"):
        self.requests = []
        self.times = []
        self.plan = []
        self.fails = lambda body: None
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.requests.append((self.path, body))
                    outer.times.append(time.monotonic())
                    step = outer.plan.pop(0) if outer.plan else outer.fails(body)
                if step is None and self.headers["X-Goog-Api-Key"] != key:
                    step = (403, {"error": {"status": "PERMISSION_DENIED", "message": "The key is not valid."}}, {})
                if step is None:
                    value = min(1.0, body["comment"]["text"].count("rude") / 10)
                    step = (200, {"attributeScores": {"TOXICITY": {"summaryScore": {"value": value}}}}, {})
                status, said, headers = step
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/v1alpha1/comments:analyze"

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()
