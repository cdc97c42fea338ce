"""Text of strangers made fit for a terminal: what a model, a server or a dataset wrote must not move its cursor.

A terminal obeys control characters: an answer could clear the screen, rewrite lines above or change the window's title.
"""

from __future__ import annotations

import re
from typing import Any

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)")
"""All controls but tab and newline, those that turn the direction of what follows, and halves of surrogate pairs, which
no stream between processes takes."""


def printable(text: str) -> str:
    r"""The text with control characters written out, as ``\\u001b``; tabs and newlines stay, and JSON stays JSON."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class PrintableStream:
    """A text stream that writes control characters out."""

    def __init__(self, stream: Any) -> None:
        """Wrap a stream; all but `write` is its own."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write; the number of characters that were given."""
        self._stream.write(printable(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
