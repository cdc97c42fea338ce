"""A real HTTP server on loopback that speaks chat completions, well or badly."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Speaks chat completions; `plan` holds what to do with the next requests, one each.

    Keys of a step: `status`, `code`, `message`, `headers` (an error); `text`, `reason`, `refusal`, `calls` (an
    answer); `cut` (closes in the middle), `half` (half a JSON), `empty` (no choices), `silent` (seconds before
    anything comes), `slow` (seconds before each piece), `raw` (bytes of the body, with `headers`), `error` (an error
    among the events), `plain` (one piece although a stream was asked for), `comment` (sent before anything else),
    `kind` (another content type), `reset` (the connection is reset before anything comes), `short` (closes before the
    length it promised), `stall` (seconds of silence in the middle), `again` (says each event that is no text twice,
    and everything once more after the end), `usage` (another one; None for none), `padding` (characters of an
    additional field).

    `text` is what it says, or a function that makes it from the request's body; `calls`, such a function, makes the
    tool calls of steps that say none.

    It counts and scores prompts as vLLM does (`prompt_logprobs`, and `echo` of completions): a token is a word with the
    blanks before it, `logprob_of` gives its probability; with `logprob_of` None it passes over such wishes.

    `port` 0 is any that is free.
    """

    def __init__(self, port=0):
        self.requests = []
        self.plan = []
        self.text = "Yes, it is"
        self.calls = None
        self.logprob_of = lambda token: -float(len(token))
        self.thinks = False  # its template ends a prompt with what it does not write before an answer
        self.pause_seconds = 0.0
        self.in_flight = self.most_in_flight = 0
        self.usage = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

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
            request_queue_size = 1024

            def handle_error(self, request, client_address):
                """A client that gave up is no news."""

        self.httpd = QuietServer(("127.0.0.1", port), Handler)
        self.httpd.daemon_threads = True
        threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/v1"

    def respond(self, handler, body, step):
        if self.calls is not None:
            step = {"calls": self.calls(body), **step}
        time.sleep(step.get("silent", 0))
        if step.get("reset"):
            self.reset(handler)
        elif "raw" in step:
            self.send_bytes(handler, step.get("status", 200), step["raw"], step.get("headers"), step.get("kind"))
        elif "status" in step:
            error = {"message": step.get("message", "no"), "code": step.get("code")}
            self.send(handler, step["status"], {"error": error}, step.get("headers", {}))
        elif step.get("empty"):
            self.send(handler, 200, {**self.envelope(), "choices": []})
        elif body.get("stream") and not step.get("plain"):
            self.stream(handler, step, body)
        elif self.logprob_of is not None and self.counts(body):
            self.whole(handler, {"usage": None, **step}, self.scored(body))
        else:
            time.sleep(self.pause_seconds)
            message = {"role": "assistant", "content": self.said(step, body)}
            message |= {"refusal": step["refusal"]} if "refusal" in step else {}
            message |= {"tool_calls": step["calls"]} if "calls" in step else {}
            choice = {"index": 0, "message": message, "finish_reason": step.get("reason", "stop")}
            self.whole(handler, step, {**self.envelope(), "choices": [choice]})

    @staticmethod
    def counts(body):
        """Whether a request is about its prompt more than about an answer."""
        return body.get("max_tokens") == 1 or "echo" in body or "prompt_logprobs" in body

    def scored(self, body):
        """A reply with one token, and what was asked of the prompt's."""
        tokens = re.findall(r"\s*(?:<\w+>|[^\s<]+)", body["prompt"] if "prompt" in body else self.rendered(body))
        numbers = [None, *map(self.logprob_of, tokens[1:])]
        ranks = [1 + (number is not None and number < -5) for number in numbers]
        payload = {**self.envelope(), "usage": {"prompt_tokens": len(tokens), "completion_tokens": 1}}
        choice = {"index": 0, "finish_reason": "length", "text": "!", "message": {"content": "!"}}
        if "prompt_logprobs" in body:
            payload["prompt_logprobs"] = [None] + [
                {str(place): {"logprob": number, "rank": rank, "decoded_token": token}}
                for place, (token, number, rank) in enumerate(zip(tokens[1:], numbers[1:], ranks[1:], strict=True))
            ]
        if body.get("echo"):
            tops = [n and {t: n, "other": n + (r > 1)} for t, n, r in zip(tokens, numbers, ranks, strict=True)]
            choice["text"] = body["prompt"] + "!"
            choice["logprobs"] = {
                "tokens": [*tokens, "!"],
                "token_logprobs": [*numbers, -0.5],
                "top_logprobs": [*tops, {}],
            }
        return payload | {"choices": [choice]}

    def rendered(self, body):
        """A prompt as a chat template writes it; a picture is one token."""
        texts = []
        for message in body["messages"]:
            parts = message["content"] if isinstance(message["content"], list) else [message["content"]]
            texts += [f"<{message['role']}>"]
            texts += [part if isinstance(part, str) else part.get("text", " <picture>") for part in parts]
        if body.get("continue_final_message"):
            return " ".join(texts[:-1]) + texts[-1]
        return " ".join(texts) + " <assistant>" + " <think>" * self.thinks

    def said(self, step, body):
        text = step.get("text", self.text)
        return text(body) if callable(text) else text

    def whole(self, handler, step, payload):
        usage = step.get("usage", self.usage)
        payload |= {"usage": usage} if usage is not None else {}
        payload |= {"padding": "x" * step["padding"]} if "padding" in step else {}
        data = json.dumps(payload).encode()
        if step.get("short") or step.get("cut"):
            self.send_bytes(handler, 200, data[: len(data) // 2], {"Content-Length": str(len(data))})
            handler.close_connection = True
        elif step.get("half"):
            self.send_bytes(handler, 200, data[: len(data) // 2])
        elif "stall" in step:
            self.send_bytes(handler, 200, data[: len(data) // 2], {"Content-Length": str(len(data))})
            time.sleep(step["stall"])
            handler.wfile.write(data[len(data) // 2 :])
        else:
            self.send_bytes(handler, 200, data, kind=step.get("kind"))

    @staticmethod
    def reset(handler):
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        handler.connection.close()

    @staticmethod
    def envelope(kind="chat.completion"):
        return {"id": "1", "object": kind, "created": 0, "model": "m"}

    @classmethod
    def send(cls, handler, status, payload, headers=None):
        cls.send_bytes(handler, status, json.dumps(payload).encode(), headers)

    @staticmethod
    def send_bytes(handler, status, data, headers=None, kind=None):
        handler.send_response(status)
        said = {"Content-Type": kind or "application/json", "Content-Length": str(len(data)), **(headers or {})}
        for name, value in said.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    def stream(self, handler, step, body):
        handler.send_response(200)
        handler.send_header("Content-Type", step.get("kind", "text/event-stream"))
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

        def event(choices, **more):
            chunk = {**self.envelope("chat.completion.chunk"), "choices": choices, **more}
            is_text = any(choice["delta"].get("content") for choice in choices)
            for _ in range(2 if step.get("again") and not is_text else 1):
                self.write(handler, f"data: {json.dumps(chunk)}\n\n")

        if "comment" in step:
            self.write(handler, f": {step['comment']}\n\n")
        padding = {"padding": "x" * step["padding"]} if "padding" in step else {}
        event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}], **padding)
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
        for piece in (step.get(field) or self.said(step, body)).split(" "):
            time.sleep(step.get("slow", self.pause_seconds))
            event([{"index": 0, "delta": {field: piece + " "}, "finish_reason": None}])
            time.sleep(step.get("stall", 0))
            if step.get("half"):
                self.write(handler, 'data: {"id": "1", "choices": [{"ind\n\n')
                self.write(handler, "")
                return
            if step.get("cut"):
                handler.close_connection = True
                handler.connection.close()
                return
        event([{"index": 0, "delta": {}, "finish_reason": step.get("reason", "stop")}])
        usage = step.get("usage", self.usage)
        if usage is not None:
            event([], usage=usage)
        self.write(handler, "data: [DONE]\n\n")
        if step.get("again"):
            event([{"index": 0, "delta": {"content": "once more"}, "finish_reason": "stop"}])
            self.write(handler, "data: [DONE]\n\n")
        self.write(handler, "")

    @staticmethod
    def write(handler, text):
        data = text.encode()
        handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        handler.wfile.flush()
