"""Unpack media archives.

An archive is somebody else's data: no member leaves the folder it is unpacked into, by name or by link.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import math
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from pytest_lmms.errors import DatasetError, explain
from pytest_lmms.tasks.allowance import Allowance
from pytest_lmms.tasks.archives import Archive

_LONGEST_PATH = 4096
_LONGEST_HEADERS = 16 << 20
"""Bytes of a tar between two members; more are no headers."""
_CORRUPT = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


# --- reading ------------------------------------------------------------------------------------------------------


class _Joined(io.RawIOBase):
    """Files read one after another, without a joined copy on disk."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._pending = list(files)
        self._file: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._file is not None or self._pending:
            if self._file is None:
                self._file = self._pending.pop(0).open("rb")
            if num_bytes := self._file.readinto(buffer):  # type: ignore[attr-defined]
                return int(num_bytes)
            self._file.close()
            self._file = None
        return 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


class _Watched:
    """A stream of which only so much may be read, so that no header of a tar, held in memory, can be a bomb."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.left: float = _LONGEST_HEADERS

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise tarfile.ReadError(f"more than {_LONGEST_HEADERS >> 20} MiB of headers")
        return data


class _Member(NamedTuple):
    name: str
    kind: str
    """`file`, `folder`, `symlink`, `hardlink` or `other`."""
    target: str
    """Of a link."""
    content: IO[bytes] | None


def _tar_members(archive: Archive) -> Iterator[_Member]:
    openers: dict[str, Any] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    with contextlib.ExitStack() as stack:
        raw: Any = stack.enter_context(io.BufferedReader(_Joined(archive.files), 1 << 20))
        if archive.kind != "tar":
            raw = stack.enter_context(openers[archive.kind](raw))
        elif raw.peek(2)[:2] == b"\x1f\x8b":  # misnamed: a compressed tar without .gz
            raw = stack.enter_context(gzip.open(raw))
        watched: Any = _Watched(raw)
        tar = stack.enter_context(tarfile.open(fileobj=watched, mode="r|"))
        for info in tar:
            if info.isreg():
                watched.left = math.inf  # of a file's content, `Allowance` counts
                yield _Member(info.name, "file", "", tar.extractfile(info))
            else:
                kinds = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}
                yield _Member(info.name, kinds.get(info.type, "other"), info.linkname, None)
            watched.left = _LONGEST_HEADERS


def _zip_members(archive: Archive) -> Iterator[_Member]:
    with zipfile.ZipFile(archive.files[0]) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16
            if info.is_dir():
                yield _Member(info.filename, "folder", "", None)
            elif stat.S_ISLNK(mode):
                with opened.open(info) as content:  # a path, whatever size it says to have
                    target = content.read(_LONGEST_PATH).decode("utf-8", "surrogateescape")
                yield _Member(info.filename, "symlink", target, None)
            elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                yield _Member(info.filename, "other", "", None)
            else:
                with opened.open(info) as content:
                    yield _Member(info.filename, "file", "", content)


# --- writing ------------------------------------------------------------------------------------------------------


def unpack(archives: Iterable[Archive], folder: Path) -> None:
    """Unpack archives into one folder. A later member of the same name replaces an earlier one.

    Args:
        archives: In order.
        folder: Made when it is not there. On an error it holds what was unpacked until then.

    Raises:
        DatasetError: An archive is damaged or encrypted, a member would leave the folder or is a device, or the disk is
            full; names the archive and the member.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    links: list[tuple[Path, Archive]] = []
    for archive in archives:
        name = ""
        allowance = Allowance(archive.files)
        try:
            for member in _zip_members(archive) if archive.kind == "zip" else _tar_members(archive):
                name = member.name
                allowance.member(name)
                _write(member, root, archive, allowance)
                if member.kind == "symlink":
                    links.append((root / member.name, archive))
        except _CORRUPT as e:
            raise _damaged(archive, name, e) from e
        except (RuntimeError, NotImplementedError) as e:  # zipfile: encrypted, unknown compression
            raise DatasetError(explain(f"cannot unpack {name or 'it'}: {e}", where=str(archive.files[0]))) from e
        except OSError as e:
            if isinstance(e, gzip.BadGzipFile) or e.errno is None:  # bz2 reports damage as a bare OSError
                raise _damaged(archive, name, e) from e
            raise DatasetError(
                explain(f"cannot write {name}: {e.strerror}", where=str(archive.files[0]), remedy=f"look at {folder}")
            ) from e
    for link, archive in links:  # a link may have led elsewhere before a later one was there
        if link.is_symlink() and not link.resolve().is_relative_to(root):
            raise _escapes(archive, str(link.relative_to(root)), f"a link to {os.readlink(link)}")


def _write(member: _Member, root: Path, archive: Archive, allowance: Allowance) -> None:
    path = _inside(member.name, root, archive)
    if member.kind == "other":
        raise DatasetError(
            explain(
                f"member {member.name!r} is a device or another special file",
                where=str(archive.files[0]),
                expected="files, folders and links",
            )
        )
    if path == root:
        return
    if member.kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.is_file():
        path.unlink()
    if member.kind == "file":
        assert member.content is not None  # noqa: S101  (a file has content)
        with path.open("xb") as file:
            allowance.copy(member.content, file, member.name)
    elif member.kind == "symlink":
        target = Path(os.path.normpath(path.parent / member.target))
        if os.path.isabs(member.target) or not target.is_relative_to(root):
            raise _escapes(archive, member.name, f"a link to {member.target}")
        path.symlink_to(member.target)
    else:
        target = _inside(member.target, root, archive)
        if target.is_symlink() or not target.is_file():
            raise _escapes(archive, member.name, f"a hard link to {member.target}, which is no file of the archive")
        os.link(target, path)


def _inside(name: str, root: Path, archive: Archive) -> Path:
    """Where a member goes, with links of earlier members followed; below `root` or an error."""
    plain = name.replace("\\", "/") if os.name == "nt" else name
    parts = [p for p in plain.split("/") if p not in ("", ".")]
    if plain.startswith("/") or ".." in parts or "\0" in plain or (parts and re.match(r"[A-Za-z]:", parts[0])):
        raise _escapes(archive, name, "its name")
    path = root.joinpath(*parts)
    if path != root and not path.parent.resolve().is_relative_to(root):
        raise _escapes(archive, name, "a folder of its path is a link")
    return path


def _escapes(archive: Archive, member: str, how: str) -> DatasetError:
    return DatasetError(
        explain(
            f"member {member!r} of the archive would leave its folder: {how}",
            where=str(archive.files[0]),
            expected="paths and links that stay below the folder",
            remedy="nothing of this dataset's archives was kept; tell its authors",
        )
    )


def _damaged(archive: Archive, member: str, error: Exception) -> DatasetError:
    at = f" at or after member {member!r}" if member else ""
    parts = f" ({len(archive.files)} parts)" if len(archive.files) > 1 else ""
    return DatasetError(
        explain(
            f"the archive{parts} is damaged{at}: {type(error).__name__}: {error}",
            where=str(archive.files[0]),
            remedy="download it again, once: dataset_kwargs: {force_download: true}",
        )
    )
