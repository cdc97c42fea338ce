"""The server's part inside a job's pytest, `-p pytest_lmms.server.reporting`: progress, and an end with the server.

The server holds one end of a pipe. When it is gone, however it went, the run stops as if interrupted, and everything
that was answered is on disk. While the run lives it holds a lock in the job's folder: who starts the server again
knows whether the devices are free.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

FOLDER = "LMMS_SERVER_JOB"
"""The job's folder."""
LIFELINE = "LMMS_SERVER_LIFELINE"
"""Number of the file that ends when the server does."""
PROGRESS_FILE = "progress.json"
LOCK_FILE = "lock"
GRACE_SECONDS = 20.0


def pytest_configure(config: pytest.Config) -> None:
    """Start, in the process that the server started; not in its workers."""
    folder = os.environ.get(FOLDER)
    if folder is None or hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(Reporting(Path(folder)), "lmms-server-reporting")
    lifeline = os.environ.pop(LIFELINE, None)  # runs of a list are children: one of us is enough
    if lifeline is not None:
        threading.Thread(target=_end_with_the_server, args=(int(lifeline),), daemon=True).start()


def hold_lock(folder: Path) -> Any:
    """Take the lock of a job's folder, for as long as what is returned lives.

    Returns:
        The open file, or None where another process holds it. The file names the holder's process group.
    """
    import fcntl

    file = (folder / LOCK_FILE).open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    file.truncate(0)
    file.write(str(os.getpgrp()))
    file.flush()
    return file


class Reporting:
    """Writes the progress where the server reads it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = hold_lock(folder)

    def pytest_lmms_progressed(self, progress: Mapping[str, Any]) -> None:
        """Replace the file, so that no reader sees half of it."""
        path = self._folder / PROGRESS_FILE
        whole = path.with_suffix(".new")
        try:
            whole.write_text(json.dumps(progress), encoding="utf-8")
            whole.replace(path)
        except OSError:  # a full disk must not end a run that has its own ways to say so
            return


def _end_with_the_server(lifeline: int) -> None:
    while True:
        try:
            if not os.read(lifeline, 1):
                break
        except OSError:
            break
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)
