"""A real HTTP server on loopback that speaks chat completions, well or badly."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Speaks chat completions; `plan` holds what to do with the next requests, one each.

    Keys of a step: `status`, `code`, `message`, `headers` (an error); `text`, `reason`, `refusal`, `calls` (an answer);
    `cut` (closes in the middle), `half` (half a JSON), `empty` (no choices), `silent` (seconds before anything comes),
    `slow` (seconds before each piece), `raw` (bytes of the body), `error` (an error among the events), `plain` (one
    piece although a stream was asked for), `comment` (sent before anything else).
    """

    def __init__(self):
        self.requests = []
        self.plan = []
        self.text = "Yes, it is"
        self.pause_seconds = 0.0
        self.in_flight = self.most_in_flight = 0
        self.usage = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    outer.requests.append((self.path, headers, body))
                    outer.in_flight += 1
                    outer.most_in_flight = max(outer.most_in_flight, outer.in_flight)
                    step = outer.plan.pop(0) if outer.plan else {}
                try:
                    outer.respond(self, body, step)
                finally:
                    with lock:
                        outer.in_flight -= 1

            def log_message(self, *_):
                pass

        class QuietServer(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                """A client that gave up is no news."""

        self.httpd = QuietServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/v1"

    def respond(self, handler, body, step):
        time.sleep(step.get("silent", 0))
        if "raw" in step:
            self.send_bytes(handler, 200, step["raw"])
        elif "status" in step:
            error = {"message": step.get("message", "no"), "code": step.get("code")}
            self.send(handler, step["status"], {"error": error}, step.get("headers", {}))
        elif step.get("empty"):
            self.send(handler, 200, {**self.envelope(), "choices": []})
        elif body.get("stream") and not step.get("plain"):
            self.stream(handler, step)
        else:
            time.sleep(self.pause_seconds)
            message = {"role": "assistant", "content": step.get("text", self.text)}
            message |= {"refusal": step["refusal"]} if "refusal" in step else {}
            message |= {"tool_calls": step["calls"]} if "calls" in step else {}
            choice = {"index": 0, "message": message, "finish_reason": step.get("reason", "stop")}
            self.send(handler, 200, {**self.envelope(), "choices": [choice], "usage": self.usage})

    @staticmethod
    def envelope(kind="chat.completion"):
        return {"id": "1", "object": kind, "created": 0, "model": "m"}

    @classmethod
    def send(cls, handler, status, payload, headers=None):
        cls.send_bytes(handler, status, json.dumps(payload).encode(), headers)

    @staticmethod
    def send_bytes(handler, status, data, headers=None):
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    def stream(self, handler, step):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

        def event(choices, **more):
            chunk = {**self.envelope("chat.completion.chunk"), "choices": choices, **more}
            self.write(handler, f"data: {json.dumps(chunk)}\n\n")

        if "comment" in step:
            self.write(handler, f": {step['comment']}\n\n")
        event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        if "error" in step:
            self.write(handler, f"data: {json.dumps({'error': step['error']})}\n\n")
            self.write(handler, "")
            return
        for place, call in enumerate(step.get("calls", ())):
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            head = {"index": place, "id": call["id"], "function": {"name": name, "arguments": ""}}
            event([{"index": 0, "delta": {"tool_calls": [head]}, "finish_reason": None}])
            for piece in (arguments[:3], arguments[3:]):
                part = {"index": place, "function": {"arguments": piece}}
                event([{"index": 0, "delta": {"tool_calls": [part]}, "finish_reason": None}])
        field = "refusal" if "refusal" in step else "content"
        for piece in (step.get(field) or step.get("text", self.text)).split(" "):
            time.sleep(step.get("slow", self.pause_seconds))
            event([{"index": 0, "delta": {field: piece + " "}, "finish_reason": None}])
            if step.get("half"):
                self.write(handler, 'data: {"id": "1", "choices": [{"ind\n\n')
                self.write(handler, "")
                return
            if step.get("cut"):
                handler.close_connection = True
                handler.connection.close()
                return
        event([{"index": 0, "delta": {}, "finish_reason": step.get("reason", "stop")}])
        event([], usage=self.usage)
        self.write(handler, "data: [DONE]\n\n")
        self.write(handler, "")

    @staticmethod
    def write(handler, text):
        data = text.encode()
        handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        handler.wfile.flush()
