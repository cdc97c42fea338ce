"""Files as bytes: regular ones, of a size that fits into memory. Knows no format."""

from __future__ import annotations

import errno
import os
import stat

MAX_BYTES = 2 << 30
"""Of a file that is read whole. Videos are not: their decoders read what they need."""


def check_regular(path: str) -> int:
    """Refuse what would be read for ever, such as a pipe or a device; folders are left to whoever opens them.

    Returns:
        The size in bytes.

    Raises:
        OSError: There is nothing, or it is neither file nor folder.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EINVAL, "this is a device or a pipe, not a file")
    return status.st_size


def read_whole(path: str) -> bytes:
    """Read a file.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger than 2 GiB.
    """
    size = check_regular(path)
    if size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"the file is too large: {size:,} bytes, at most {MAX_BYTES:,}")
    with open(path, "rb") as file:
        return file.read()
