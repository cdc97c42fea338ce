"""A chat-completions server for measurements: every answer after the same time, or 429 above a hidden limit.

    python tools/bench/loopback.py --seconds 0.2 [--limit 20] [--port 0]

Prints its address, then serves until its standard input ends. `GET /stats` tells, since the last `GET /reset`, how
many requests came, were answered and refused, seconds from the first to the last answer, and how many were in flight
on average over the last 80 % of that time. One event loop and no HTTP library, so that the clients are the slow part.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

WORDS = ("A", ".", " That", " is", " all")
USAGE = {"prompt_tokens": 11, "completion_tokens": len(WORDS), "total_tokens": 11 + len(WORDS)}
ENVELOPE = {"id": "1", "created": 0, "model": "m"}


def streamed() -> bytes:
    """A whole answer as server-sent events."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS)]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({"choices": [], "usage": USAGE})
    head = {**ENVELOPE, "object": "chat.completion.chunk"}
    return b"".join(b"data: %s\n\n" % json.dumps({**head, **c}).encode() for c in chunks) + b"data: [DONE]\n\n"


def whole() -> bytes:
    """A whole answer in one piece."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}
    return json.dumps({**ENVELOPE, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()


def response(status: str, body: bytes, kind: str = "application/json") -> bytes:
    """An HTTP response."""
    return b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        status.encode(), kind.encode(), len(body), body,
    )  # fmt: skip


STREAMED = response("200 OK", streamed(), "text/event-stream")
WHOLE = response("200 OK", whole())
REFUSED = response("429 Too Many Requests", b'{"error": {"message": "too many requests", "code": "rate_limit"}}')


class Load:
    """What a server has had to do."""

    def __init__(self) -> None:
        self.in_flight = self.most = self.num_asked = self.num_answered = self.num_refused = 0
        self.history: list[tuple[float, int]] = []

    def change(self, by: int) -> None:
        """Note that a request came or went."""
        self.in_flight += by
        self.most = max(self.most, self.in_flight)
        self.history.append((time.perf_counter(), self.in_flight))

    def stats(self) -> dict[str, float]:
        """See the module."""
        found = {
            "asked": self.num_asked, "answered": self.num_answered, "refused": self.num_refused, "most": self.most,
            "seconds": 0.0, "average_in_flight": 0.0,
        }  # fmt: skip
        if len(self.history) > 1:
            begin, end = self.history[0][0], self.history[-1][0]
            late = begin + 0.2 * (end - begin)
            area = sum(
                (after - max(before, late)) * level
                for (before, level), (after, _) in zip(self.history, self.history[1:], strict=False)
                if after > late
            )
            found |= {"seconds": end - begin, "average_in_flight": area / (end - late)}
        return found


class Connection(asyncio.Protocol):
    """One client's connection: HTTP/1.1 with lengths, one request after the other."""

    load = Load()
    seconds = 0.2
    limit = 10**9

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport
        self.pieces: list[bytes] = []
        self.size = 0
        self.needed = 0
        self.body_starts = 0

    def data_received(self, data: bytes) -> None:
        """Take what came; answer each request that is complete."""
        self.pieces.append(data)
        self.size += len(data)
        while self.size >= max(self.needed, 1):
            buffer = b"".join(self.pieces)
            if not self.needed:
                end = buffer.find(b"\r\n\r\n")
                if end < 0:
                    self.pieces = [buffer]
                    return
                self.body_starts = end + 4
                self.needed = self.body_starts + _content_length(buffer[:end])
            if len(buffer) < self.needed:
                self.pieces = [buffer]
                return
            request, rest = buffer[: self.needed], buffer[self.needed :]
            self.pieces, self.size, self.needed = ([rest] if rest else []), len(rest), 0
            self.answer(request)

    def answer(self, request: bytes) -> None:
        """Answer one request, now or later."""
        load = Connection.load
        if request.startswith(b"GET"):
            if b"/reset" in request.split(b"\r\n", 1)[0]:
                Connection.load = Load()
            self.transport.write(response("200 OK", json.dumps(load.stats()).encode()))
            return
        load.num_asked += 1
        if load.in_flight >= self.limit:
            load.num_refused += 1
            self.transport.write(REFUSED)
            return
        load.change(1)
        body = request[-400:] + request[self.body_starts : self.body_starts + 400]
        is_streamed = b'"stream":true' in request.replace(b": ", b":") if len(request) < 4000 else b'"stream":' in body
        asyncio.get_running_loop().call_later(self.seconds, self.finish, load, STREAMED if is_streamed else WHOLE)

    def finish(self, load: Load, data: bytes) -> None:
        """Send an answer whose time has come."""
        load.change(-1)
        load.num_answered += 1
        if not self.transport.is_closing():
            self.transport.write(data)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--limit", type=int, default=10**9)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    Connection.seconds, Connection.limit = options.seconds, options.limit
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", options.port, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
