"""One medium inside a Lance dataset: a reference that is opened where it is needed.

Needs Lance only when it is opened. A decoder that can read a file-like object reads the ranges that it wants; one that
needs a path gets a file in a cache, written once and renamed into place.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from pytest_lmms.errors import MediaError, UsageError, explain
from pytest_lmms.records import MediaRef

if TYPE_CHECKING:
    from pytest_lmms.media._lance import LanceTable

ID_COLUMN, BLOB_COLUMN = "video_id", "video_blob"


@dataclass(frozen=True, kw_only=True, slots=True)
class LanceBlob:
    """Where the bytes of one medium are."""

    uri: str
    """A folder, or an address such as `hf://datasets/OWNER/NAME/PATH`."""
    key: str
    """The row's name."""
    id_column: str = ID_COLUMN
    blob_column: str = BLOB_COLUMN
    cache_dir: str | None = None
    """For decoders that need a path; None: `default_cache_dir`."""

    def table(self) -> LanceTable:
        """The dataset, opened once a process.

        Raises:
            MediaError: It cannot be opened.
            UsageError: Lance is not installed.
        """
        return lance_table(self.uri, self.id_column, self.blob_column)

    def exists(self) -> bool:
        """Whether the dataset has a row of this name."""
        return self.key in self.table()

    def open(self) -> BinaryIO:
        """The bytes as a file that reads ranges as they are asked for.

        Raises:
            MediaError: No such row, more than one, no bytes, or the storage cannot be reached.
        """
        table = self.table()
        return table.open(table.index(self.key))

    def read(self) -> bytes:
        """All bytes."""
        table = self.table()
        return table.read_many([table.index(self.key)])[0]

    @property
    def digest(self) -> str:
        """The write that made the dataset, and the row."""
        table = self.table()
        return f"{table.fingerprint}/{self.blob_column}/{table.index(self.key)}"

    @property
    def extension(self) -> str:
        """As the dataset says, without the dot; else that of the name, else ``mp4``."""
        table = self.table()
        said = table.extensions[table.index(self.key)] if table.extensions else None
        return (said or os.path.splitext(self.key)[1] or "mp4").lstrip(".")

    def file(self) -> str:
        """The path of a file with the bytes, written once for all processes.

        Raises:
            MediaError: As `open`; or the file cannot be written.
        """
        name = re.sub(r"[^A-Za-z0-9._-]", "_", self.key)
        extension = self.extension
        if not name.lower().endswith(f".{extension.lower()}"):
            name += f".{extension}"
        folder = os.path.join(
            os.path.expanduser(self.cache_dir or default_cache_dir()), re.sub(r"\W", "_", self.digest.split("/")[0])
        )
        path = os.path.join(folder, f"{self.table().index(self.key)}_{name}"[-200:])
        if os.path.exists(path):
            return path
        try:
            os.makedirs(folder, exist_ok=True)
            with self.open() as source, tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                try:
                    shutil.copyfileobj(source, file, 1 << 20)
                    file.close()
                    os.replace(file.name, path)
                except BaseException:
                    os.unlink(file.name)
                    raise
        except OSError as error:
            raise MediaError(explain(f"cannot be written from {self.uri}: {error}", where=path)) from error
        return path


def default_cache_dir() -> str:
    """`pytest-lmms/lance` below XDG_CACHE_HOME or ~/.cache."""
    return os.path.join(os.path.expanduser(os.getenv("XDG_CACHE_HOME") or "~/.cache"), "pytest-lmms", "lance")


def loaded(ref: MediaRef) -> MediaRef:
    """A reference into a Lance dataset as one to its bytes, now in memory; any other as it is."""
    return replace(ref, content=None, data=ref.content.read()) if isinstance(ref.content, LanceBlob) else ref


def lance_table(uri: str, id_column: str = ID_COLUMN, blob_column: str = BLOB_COLUMN) -> LanceTable:
    """Open a Lance dataset of media, once a process.

    Raises:
        MediaError: It cannot be opened, or lacks a column.
        UsageError: Lance is not installed.
    """
    try:
        from pytest_lmms.media import _lance
    except ImportError as error:
        raise UsageError(
            explain(f"Lance is not installed: {error}", where=uri, remedy="pip install 'pytest-lmms[lance]'")
        ) from error
    return _lance.open_table(os.path.expanduser(uri), id_column, blob_column)
