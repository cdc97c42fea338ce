"""Expressions that task files bring, on texts that models wrote: `re`'s results, or an error soon.

`re` holds every other thread while it matches, and nothing can stop it. So what is certain to end soon
(`backtracking.safe_length`) is matched here, everything else in a process that may be ended (30 microseconds a text).
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from typing import IO, Any, cast

from pytest_lmms.errors import DocumentError, explain
from pytest_lmms.regexes import _matching
from pytest_lmms.regexes.backtracking import safe_length

SECONDS = 3.0
"""Of processor time, for one expression on one text."""


def findall(regex: re.Pattern[str], text: str) -> list[Any]:
    """Return all matches, as `re.Pattern.findall` does.

    Raises:
        DocumentError: It takes longer than `SECONDS`.
    """
    if len(text) <= safe_length(regex.pattern, regex.flags):
        return regex.findall(text)
    found = _process(os.getpid()).ask("findall", regex, text)
    return [tuple(match) if isinstance(match, list) else match for match in found]


def remove(regex: re.Pattern[str], text: str) -> str:
    """Return the text without what matches.

    Raises:
        DocumentError: It takes longer than `SECONDS`.
    """
    return replace(regex, "", text)


def replace(regex: re.Pattern[str], replacement: str, text: str, count: int = 0) -> str:
    """Return the text with something else where it matches, as `re.Pattern.sub` does; all matches if `count` is 0.

    Raises:
        DocumentError: It takes longer than `SECONDS`.
    """
    if len(text) <= safe_length(regex.pattern, regex.flags):
        return regex.sub(replacement, text, count=count)
    return str(_process(os.getpid()).ask("sub", regex, text, replacement, count))


class _Process:
    """A process that matches; another takes its place when it was ended."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def ask(self, method: str, regex: re.Pattern[str], text: str, *more: str | int) -> Any:
        """Return what a method of the expression returns; `more` are arguments of ``sub`` beside the text."""
        asked = json.dumps([method, regex.pattern, regex.flags, text, *more]).encode() + b"\n"
        with self._turn:
            if self._child is None:
                self._child = self._start()
            child = self._child
            to_child, from_child = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
            try:
                to_child.write(asked)
                to_child.flush()
                answer = from_child.readline()
            except BrokenPipeError:
                answer = b""
            if answer.endswith(b"\n"):
                return json.loads(answer)
            self.close()
            raise DocumentError(_why(child.returncode, regex, text))

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", _matching.__file__, str(SECONDS)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)  # noqa: S603  (our own)


@functools.cache
def _process(pid: int) -> _Process:
    """One for each of our processes: a fork must not share pipes."""
    del pid
    process = _Process()
    atexit.register(process.close)
    return process


def _why(code: int | None, regex: re.Pattern[str], text: str) -> str:
    spent = code == -signal.SIGPROF
    ended = f"took more than {SECONDS:g} s" if spent else f"ended its process (exit code {code})"
    return explain(
        f"the regular expression {regex.pattern!r} {ended} on a text of {len(text):,} characters",
        expected="an expression whose time grows with the length of the text",
        remedy="Give each repetition an end that it cannot run over, [^<]* for .*?, and put none inside another.",
    )
