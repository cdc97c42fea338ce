"""Thousands of documents through a server that misbehaves by script, and the memory that this takes.

Each document must end as a response, a refusal or an error that says what went wrong, none may be scored by another
document's answer, and memory may not grow with what the server sends (10 MB a reply, at times).
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from tests.faults.misbehaviour import ARGUMENTS, judge, kinds_of_errors
from tools.soak.lab import Chat, Lab, Left

POLL_SECONDS = 0.5
MIB_FOR_RECORDS = 0.01
"""MiB a document may take for good: its item and its place in reports; measured are a few KiB."""
MIB_IN_HAND = 96
"""MiB that may come and go: eight replies of 10 MB at most are in hand at once."""


class Memory(threading.Thread):
    """Watches the resident size of one process; prints it as questions arrive."""

    def __init__(self, pid: int, chat: Chat, every: int) -> None:
        super().__init__(daemon=True)
        self._status, self._chat, self._every = Path(f"/proc/{pid}/status"), chat, every
        self.seen: list[tuple[int, float]] = []
        """(questions so far, MiB)"""

    def run(self) -> None:
        """Look until the process has ended."""
        shown = 0
        while (size := resident_mib(self._status)) is not None:
            asked = self._chat.num_asked()
            self.seen.append((asked, size))
            if asked >= shown + self._every:
                shown = asked
                print(f"  {asked:6} questions, {size:.0f} MiB", flush=True)
            time.sleep(POLL_SECONDS)

    def between(self, since: float, until: float) -> tuple[float, float]:
        """The smallest and the largest size between two shares of all questions."""
        last = self.seen[-1][0]
        sizes = [mib for asked, mib in self.seen if since * last <= asked <= until * last] or [0.0]
        return min(sizes), max(sizes)


def resident_mib(status: Path) -> float | None:
    """The resident size that a `/proc/<pid>/status` tells; None when the process has ended."""
    try:
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        return None
    return int(line.split()[1]) / 1024


def ask(folder: Path, number: int, *, seed: int, stream: bool) -> list[str]:
    """Evaluate so many documents; prints how they ended.

    Returns:
        What is not as it must be.
    """
    folder.mkdir(parents=True)
    chat = Chat(folder, misbehave=seed)
    print(f"{number} documents, {'streamed' if stream else 'whole'} answers", flush=True)
    try:
        lab = Lab(folder, chat, number)
        started = time.monotonic()
        arguments = ["--lmms-model", "openai", "--lmms-model-args", f"{ARGUMENTS},stream={stream}"]
        process = lab.start([*arguments, "--lmms-max-errors", "100%"], folder / "results")
        memory = Memory(process.pid, chat, max(1, number // 10))
        memory.start()
        code = lab.finish(process, limit_seconds=3600 + number)
        memory.join()
        seconds, num_asked = time.monotonic() - started, chat.num_asked()
    finally:
        chat.kill()
    return _look(lab, folder, number, code, memory, f"{seconds:.0f} s, {num_asked} attempts arrived")


def _look(lab: Lab, folder: Path, number: int, code: int, memory: Memory, about: str) -> list[str]:
    wrong = [f"it says {word}" for word in ("INTERNALERROR", "Traceback") if word in lab.said()]
    if code != 0:
        wrong.append(f"exit code {code}: {lab.said()[-1000:]}")
    try:
        records: list[dict[str, Any]] = Left(folder / "results").records()
        counts = judge(records, number)
    except (AssertionError, OSError, ValueError) as e:
        return [*wrong, f"{type(e).__name__}: {e}"]
    # What a collector of garbage gives back now and then is no growth: the smallest sizes tell that.
    (early, early_most), (late, late_most) = memory.between(0.2, 0.6), memory.between(0.6, 1.0)
    print(f"  {about}; {counts}")
    print(
        f"  memory: {early:.0f} to {early_most:.0f} MiB from 20% to 60%, {late:.0f} to {late_most:.0f} MiB after that"
    )
    for kind in kinds_of_errors(records)[:20]:
        print(f"  error: {kind}")
    if late > early + MIB_IN_HAND + MIB_FOR_RECORDS * number / 2:
        wrong.append(f"memory grows: at least {early:.0f} MiB from 20% to 60%, at least {late:.0f} MiB after that")
    return wrong
