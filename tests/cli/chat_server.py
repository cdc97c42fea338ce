"""A server that speaks streamed chat completions on loopback, and answers everything with one word."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def chat_server(answer: str = "Yes"):
    """Give the address, up to `/v1`, and the list of (headers by small name, body) of all requests."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(({k.lower(): v for k, v in self.headers.items()}, body))
            choice = {"index": 0, "delta": {"role": "assistant", "content": answer}, "finish_reason": None}
            usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
            shared = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
            chunks = [
                {"choices": [choice]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {"choices": [], "usage": usage},
            ]
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(b"data: " + json.dumps(shared | chunk).encode() + b"\n\n")
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
