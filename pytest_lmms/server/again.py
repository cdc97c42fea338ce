"""Requests that come again: the same bytes on the same connection, answered without being read once more.

A client that waits for a job sends one request over and over. What a parser, a task, the guard and routes would find
out about it is what they found out before; only the answer may be another. It is asked for, by the way the application
left, and sent in one piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from pytest_lmms.server.heads import BoundedHeads
from pytest_lmms.server.polls import AGAIN, Answer


class RepeatedRequests(BoundedHeads):
    """Asks the application at the first of them how the next ones are answered."""

    _num_begun = _num_ended = 0
    _asked = 0.0
    """When the last one came again, in the loop's time."""
    _request = b""
    """The last one, where it came whole, in one piece and alone."""
    _answers: list[Callable[[], Answer | None]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a first request."""
        self._answers = []
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Answer the last request again, or read another."""
        if data == self._request and self._answer_again():
            return
        self._request = b""
        begun, ended = self._num_begun, self._num_ended
        super().data_received(data)
        if begun == ended and (self._num_begun, self._num_ended) == (begun + 1, ended + 1):
            self._request = data

    def on_message_begin(self) -> None:
        """Let the application leave a way to answer the same again."""
        super().on_message_begin()
        self._num_begun += 1
        self._answers = []
        self.scope["extensions"] = {AGAIN: self._answers.append}  # type: ignore[dict-item]

    def on_message_complete(self) -> None:
        """Count it."""
        self._num_ended += 1
        super().on_message_complete()

    def _answer_again(self) -> bool:
        if not self._answers or not self.cycle.response_complete or self.flow.write_paused:
            return False
        answer = self._answers[0]()
        if answer is None:
            return False
        defaults = [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        self.transport.write(b"".join((STATUS_LINE[answer.status], *defaults, answer.text)))
        self._asked = self.loop.time()
        return True

    def timeout_keep_alive_handler(self) -> None:
        """Hang up, if nothing was asked again since the timer was set."""
        rest = self._asked + self.timeout_keep_alive - self.loop.time()
        if rest > 0:
            self.timeout_keep_alive_task = self.loop.call_later(rest, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()
