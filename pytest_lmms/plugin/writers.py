"""Whatever is written past pytest: prints that it does not capture, and the log of `--debug`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any


class HidingStream:
    """Lets a text stream write no secrets.

    The stream stays the same object, because whoever captures keeps it and puts it back.
    """

    def __init__(self, stream: Any, hide: Callable[[str], str]) -> None:
        self._stream = stream
        self._before = vars(stream).get("write") if hasattr(stream, "__dict__") else None
        write = stream.write

        def write_hidden(text: str) -> Any:
            return write(hide(text) if isinstance(text, str) else text)

        self._write = write_hidden
        with contextlib.suppress(AttributeError):  # a stream without room for it is left alone
            stream.write = write_hidden

    def let_go(self) -> None:
        """Let it write as before, unless someone else has changed it since."""
        if getattr(self._stream, "__dict__", {}).get("write") is not self._write:
            return
        if self._before is None:
            del self._stream.write
        else:
            self._stream.write = self._before
