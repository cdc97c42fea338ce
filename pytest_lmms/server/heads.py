"""Bounds for what comes before a request is understood: its head, in bytes and in seconds, and its body, in seconds.

Neither uvicorn nor the parser that it uses bounds them, and no token has been seen yet. How large a body may be is for
`guard` to say.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64_000
MAX_HEAD_SECONDS = 20.0
MAX_BODY_SECONDS = 60.0
"""From the head on. Whoever is refused may go on sending all the same."""


class BoundedHeads(HttpToolsProtocol):
    """Answers 400 to a head that is too large, and hangs up on one or on a body that takes too long."""

    _is_open = True
    _num_bytes = _num_header_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._open()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._close()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; of a head without end, so much and no more."""
        self._num_bytes += len(data) if self._is_open else 0
        super().data_received(data)
        if self._is_open and self._num_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's headers are too large.")

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        if not self._is_open:
            self._open()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; the parser makes the error an invalid request."""
        super().on_header(name, value)
        self._num_header_bytes += len(name) + len(value)
        if self._num_header_bytes + len(self.url) > MAX_HEAD_BYTES:
            message = "headers are too large"
            raise ValueError(message)

    def on_headers_complete(self) -> None:
        """End a head, and wait for the body."""
        self._close()
        self._timer = self.loop.call_later(MAX_BODY_SECONDS, self._hang_up)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        self._close()
        super().on_message_complete()

    def _open(self) -> None:
        self._close()
        self._is_open, self._num_bytes, self._num_header_bytes = True, 0, 0
        self._timer = self.loop.call_later(MAX_HEAD_SECONDS, self._hang_up)

    def _close(self) -> None:
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hang_up(self) -> None:
        self.transport.close()
