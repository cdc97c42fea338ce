"""How much an archive may unpack to: media hardly shrink when they are packed, bombs shrink a thousandfold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from pytest_lmms.errors import DatasetError, explain

MAX_RATIO = 100
"""Unpacked bytes for each byte of an archive."""
ALWAYS_BYTES = 1 << 30
"""What any archive may unpack to: small files of one colour or of text shrink a lot."""
MAX_MEMBERS = 20_000_000
_CHUNK_BYTES = 1 << 20


class Allowance:
    """What is left of the bytes and members that one archive may write."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Take the files of one archive."""
        self.where = str(files[0])
        self.bytes_left = max(ALWAYS_BYTES, MAX_RATIO * sum(path.stat().st_size for path in files))
        self.members_left = MAX_MEMBERS

    def member(self, name: str) -> None:
        """Count one more member.

        Raises:
            DatasetError: There are too many.
        """
        self.members_left -= 1
        if self.members_left < 0:
            raise self._bomb(name, f"more than {MAX_MEMBERS:,} members")

    def copy(self, content: IO[bytes], file: IO[bytes], name: str) -> None:
        """Copy a member's content.

        Raises:
            DatasetError: The archive has unpacked to too much.
        """
        while chunk := content.read(_CHUNK_BYTES):
            self.bytes_left -= len(chunk)
            if self.bytes_left < 0:
                raise self._bomb(name, f"more than {MAX_RATIO} times its size, and than {ALWAYS_BYTES:,} bytes")
            file.write(chunk)

    def _bomb(self, name: str, what: str) -> DatasetError:
        return DatasetError(
            explain(
                f"the archive unpacks to {what}: stopped at member {name!r}",
                where=self.where,
                remedy="look at what is in it; if it is what its authors say, unpack it yourself and name the folder",
            )
        )
