"""A budget of tokens or requests for a whole run, shared by all of its processes through one small file."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from pytest_lmms.records import Response

_NUMBERS = struct.Struct("<qq")


class Budget:
    """Counts what a run spends. Safe on several threads and in several processes."""

    def __init__(self, path: Path, *, max_tokens: int | None = None, max_requests: int | None = None) -> None:
        """Set the limits.

        Args:
            path: Where the sums are kept; the processes of one run name the same file. Made with the first response.
            max_tokens: Input and output tokens together; None for no limit. Tokens that a backend does not tell are
                not counted.
            max_requests: Responses; None for no limit.
        """
        self._path = path
        self._max_tokens = max_tokens
        self._max_requests = max_requests
        self.reason: str | None = None
        """Once it is spent: what was spent."""

    def spend(self, responses: Iterable[Response]) -> bool:
        """Count responses that were really asked for.

        Returns:
            Whether anything is left. What is in flight when nothing is left still comes, and is counted.
        """
        responses = list(responses)
        tokens = sum((r.tokens.input_tokens or 0) + (r.tokens.output_tokens or 0) for r in responses)
        num_tokens, num_requests = self._add(tokens, len(responses))
        if self._max_tokens is not None and num_tokens >= self._max_tokens:
            self.reason = f"the budget of {self._max_tokens:,} tokens is spent ({num_tokens:,})"
        elif self._max_requests is not None and num_requests >= self._max_requests:
            self.reason = f"the budget of {self._max_requests:,} requests is spent ({num_requests:,})"
        return self.reason is None

    def _add(self, tokens: int, requests: int) -> tuple[int, int]:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            known = os.pread(file, _NUMBERS.size, 0)
            before = _NUMBERS.unpack(known) if len(known) == _NUMBERS.size else (0, 0)
            now = (before[0] + tokens, before[1] + requests)
            os.pwrite(file, _NUMBERS.pack(*now), 0)
            return now
        finally:
            os.close(file)
