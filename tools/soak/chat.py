"""The server of a soak: a process of its own, so that it can be killed, that notes each question before it answers.

    python -m tools.soak.chat --log FILE [--port 0] [--pause-seconds 0.05] [--misbehave SEED | --calm]

Prints its address, then serves until its standard input ends or somebody kills it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.chat_server import Server
from tests.faults.misbehaviour import Script
from tools.bench.loopback import Connection, response


class NotingServer(Server):
    """Appends the text of each question to a file as soon as it has arrived; `q17` is answered as `answer` says."""

    def __init__(self, log: Path, *, port: int = 0, pause_seconds: float = 0.0) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        super().__init__(port)
        self.text = answer
        self.pause_seconds = pause_seconds

    def respond(self, handler: Any, body: dict[str, Any], step: dict[str, Any]) -> None:
        """Note, then answer."""
        self.requests.clear()  # they are on disk, and a soak is long
        os.write(self._log, f"{question(body)}\n".encode())
        super().respond(handler, body, step)


class CalmConnection(Connection):
    """As `NotingServer` on one event loop, which costs so little that its clients are the slow part; all at once."""

    log = -1

    def answer(self, request: bytes) -> None:
        """Note now, answer when the time has come."""
        body = json.loads(request[self.body_starts :])
        os.write(self.log, f"{question(body)}\n".encode())
        part = "delta" if body.get("stream") else "message"
        choice = {"index": 0, part: {"role": "assistant", "content": answer(body)}, "finish_reason": "stop"}
        kind = "chat.completion" + (".chunk" if part == "delta" else "")
        usage = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
        said = json.dumps({"id": "1", "object": kind, "created": 0, "model": "m", "choices": [choice], "usage": usage})
        if part == "delta":
            data = response("200 OK", f"data: {said}\n\ndata: [DONE]\n\n".encode(), "text/event-stream")
        else:
            data = response("200 OK", said.encode())
        asyncio.get_running_loop().call_later(self.seconds, self.send, data)

    def send(self, data: bytes) -> None:
        """Unless the client has gone."""
        if not self.transport.is_closing():
            self.transport.write(data)


async def serve_calmly(log: Path, port: int, pause_seconds: float) -> None:
    """Print the address, and serve until standard input ends."""
    CalmConnection.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    CalmConnection.seconds = pause_seconds
    loop = asyncio.get_running_loop()
    server = await loop.create_server(CalmConnection, "127.0.0.1", port, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def question(body: dict[str, Any]) -> str:
    """The text of a request, whichever way it is written."""
    content = body["messages"][-1]["content"]
    return (content if isinstance(content, str) else content[0]["text"]).strip()


def answer(body: dict[str, Any]) -> str:
    """`A17` for `q17`; each seventh answer is a wrong one, so that a score says something."""
    number = int(question(body).removeprefix("q"))
    return f"A{number}" if number % 7 else "I cannot tell"


def right_answer(body: dict[str, Any]) -> str:
    """`A17` for `q17`."""
    return "A" + question(body).removeprefix("q")


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--pause-seconds", type=float, default=0.0)
    parser.add_argument(
        "--misbehave", type=int, metavar="SEED", help="follow the script of tests/faults/misbehaviour.py"
    )
    parser.add_argument("--calm", action="store_true", help="for many requests at once: see CalmConnection")
    options = parser.parse_args()
    if options.calm:
        asyncio.run(serve_calmly(options.log, options.port, options.pause_seconds))
        return
    server = NotingServer(options.log, port=options.port, pause_seconds=options.pause_seconds)
    if options.misbehave is not None:
        server.plan, server.text = Script(options.misbehave), right_answer
    print(server.url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
