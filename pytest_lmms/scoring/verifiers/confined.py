"""A model's Python program, run in a process of its own that can do little more than compute.

It gets no network, no process, no other file than those of a folder that is made for it, no variable of ours, and
bounded time, memory and output. That keeps a careless program from harm; it is no wall against one that attacks the
kernel. See docs/verifiers.md.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.scoring.verifiers import _inside

MB = 1 << 20
MAX_OUTPUT_BYTES = 4 * MB
"""Of each of the two outputs, and of each file that a program writes."""
MAX_WAIT = 3
"""Wall seconds for each second of processor time that a program may take: machines are busy, programs sleep."""
MAX_SHOWN = 500
_READABLE = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime")
_ENVIRONMENT = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_WHY = {
    _inside.NETWORK: "cannot be kept off the network (neither seccomp nor a network namespace works here)",
    _inside.PROCESSES: "cannot be kept from starting processes (seccomp works on Linux, x86_64 and aarch64)",
    _inside.FILES: "cannot be kept from other files (Landlock works on Linux 5.13 and later)",
}


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended."""

    ended: bool
    """Whether it came to its last line."""
    exit_code: int | None
    """Also where it called `sys.exit`; None where it did not end by itself."""
    detail: str
    """What stopped it, in one line; empty where nothing did."""
    output: str = ""
    """What it printed; bytes that are no UTF-8 are replaced."""


@functools.cache
def _turns() -> threading.Semaphore:
    """As many programs at once, in all workers of a run, as there are processors; at least one in each."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT") or 1)
    return threading.Semaphore(max(1, (os.cpu_count() or 1) // max(1, workers)))


def run_python(
    source: str, *, stdin: str = "", seconds: float = 10, memory_mb: float = 1024, confined: bool = True
) -> Ran:
    """Run a Python program and wait for its end.

    Args:
        source: The program.
        stdin: What it can read.
        seconds: Of processor time; it may last three times as long.
        memory_mb: Of address space, the interpreter's included.
        confined: False runs it also where this system cannot keep it from network, processes and files.

    Returns:
        How it ended; whatever it does, nothing is raised.

    Raises:
        UsageError: This system cannot confine it.
    """
    token = secrets.token_hex(16)
    plan = {
        "token": token,
        "source": source,
        "seconds": math.ceil(seconds),
        "memory_bytes": int(memory_mb * MB),
        "file_bytes": MAX_OUTPUT_BYTES,
        "readable": [*_READABLE, sys.prefix, sys.base_prefix],
        "required": [_inside.NETWORK, _inside.PROCESSES, _inside.FILES] if confined else [],
    }
    with _turns(), contextlib.ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="lmms-program-")
        stack.callback(_remove, folder)
        plan_file, report, given, said, complaints = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(5))
        for file, text in ((plan_file, json.dumps(plan)), (given, stdin)):
            file.write(text.encode("utf-8", errors="replace"))
            file.seek(0)
        passed = (plan_file.fileno(), report.fileno())
        process = subprocess.Popen(  # noqa: S603 (our own script)
            [sys.executable, "-I", "-X", "utf8", _inside.__file__, *map(str, passed)],
            stdin=given, stdout=said, stderr=complaints, cwd=folder, pass_fds=passed, start_new_session=True,
            env={**_ENVIRONMENT, "HOME": folder, "TMPDIR": folder},
        )  # fmt: skip
        timed_out = True
        try:
            timed_out = not _ends(process, seconds * MAX_WAIT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        outcome = _outcome(_read(report), token)
        ran = _ran(outcome, process.returncode, timed_out=timed_out, seconds=seconds, complaints=_read(complaints))
        return Ran(ran.ended, ran.exit_code, ran.detail, _read(said))


def _remove(folder: str) -> None:
    """Remove a program's folder, however deep and locked it left it: nothing recurses, and no path grows long."""
    token, numbers = secrets.token_hex(8), itertools.count()

    def take_up(entry: os.DirEntry[str]) -> None:
        """Remove a file; put a folder directly below the program's."""
        if entry.is_dir(follow_symlinks=False):
            Path(entry.path).chmod(0o700)
            Path(entry.path).rename(f"{folder}/{token}-{next(numbers)}")
        else:
            Path(entry.path).unlink()

    with contextlib.suppress(OSError):
        Path(folder).chmod(0o700)
        while entries := list(os.scandir(folder)):
            for entry in entries:
                if not entry.name.startswith(token):
                    take_up(entry)
                    continue
                for inner in list(os.scandir(entry.path)):
                    take_up(inner)
                Path(entry.path).rmdir()
        Path(folder).rmdir()


def _ends(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a process; tell whether it ended in time.

    Linux says when it does. `Popen.wait` looks now and then instead, which doubles the time of a short program.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # another system, an older kernel
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return process.poll() is not None
    try:
        watch = select.poll()
        watch.register(descriptor, select.POLLIN)
        return bool(watch.poll(math.ceil(seconds * 1000)))
    finally:
        os.close(descriptor)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(MAX_OUTPUT_BYTES).decode("utf-8", errors="replace")


def _outcome(report: str, token: str) -> dict[str, Any] | None:
    """What the inside reported; None without a report, or where a program wrote one of its own."""
    try:
        found = json.loads(report)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("token") == token else None


def _ran(outcome: dict[str, Any] | None, code: int, *, timed_out: bool, seconds: float, complaints: str) -> Ran:
    if outcome and outcome.get("missing"):
        what = "; it ".join(_WHY[name] for name in outcome["missing"])
        remedy = "run in a container that you trust it with, and set `confined: false`"
        raise UsageError(explain(f"a model's program {what}", where=f"verifier on {sys.platform}", remedy=remedy))
    if outcome and "raised" in outcome:
        return Ran(ended=False, exit_code=1, detail=outcome["raised"])
    if outcome:
        ended = bool(outcome.get("ended"))
        return Ran(ended, outcome["exited"], "" if ended else f"it left with exit code {outcome['exited']}")
    if timed_out or -code in (signal.SIGXCPU, signal.SIGKILL):
        return Ran(ended=False, exit_code=None, detail=f"no end within {seconds:g} s")
    last = complaints.strip().splitlines()[-1:] or ["it ended without a word"]
    name = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Ran(ended=False, exit_code=None, detail=f"{last[0][:MAX_SHOWN]} ({name})")
