"""What every fuzzer here shares: a child process that reads files and may die, and the loop that feeds it."""

from __future__ import annotations

import collections
import json
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from damage import damaged

MAX_MEMORY_MB = 2000
"""Of address space beyond what the libraries take."""
PROGRESS_SECONDS = 10.0
"""Between two lines that say how far it is."""


def serve(read: Callable[[str], dict[str, str]]) -> None:
    """Be the child: read files named on standard input, one JSON answer (reader to what it said) a file."""
    is_limited = False
    for line in sys.stdin:
        print(json.dumps(read(line.rstrip("\n"))), flush=True)
        if not is_limited:  # the libraries are loaded now
            with open("/proc/self/statm", encoding="ascii") as file:
                now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (now + MAX_MEMORY_MB * 1_000_000, resource.RLIM_INFINITY))
            is_limited = True


class Child:
    """A process that reads, replaced when it dies."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None

    def ask(self, path: Path, limit_seconds: float) -> dict[str, str]:
        """Have a file read; what went wrong with the process is an answer too."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            limit_seconds += 60  # it imports its libraries
        print(path, file=self._process.stdin, flush=True)
        ready, _, _ = select.select([self._process.stdout], [], [], limit_seconds)
        line = self._process.stdout.readline() if ready else None
        if line:
            return json.loads(line)
        if line is None:
            self._process.kill()
        code = self._process.wait()
        self._process = None
        return {"process": "hung" if line is None else f"died with {code}"}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait(30)


def feed(
    whole: Mapping[str, bytes],
    command: Sequence[str],
    *,
    count: int,
    seed: int,
    limit_seconds: float,
    keep: Path | None,
    fine: Collection[str],
    any_extension: bool = False,
) -> list[str]:
    """Feed damaged files to a child, and print what became of them.

    Args:
        whole: Files, by name.
        command: Starts the child.
        count: Number of damaged files.
        seed: Of the damage.
        limit_seconds: For one file.
        keep: Folder for files that broke a rule.
        fine: Answers that break none.
        any_extension: Whether a file may have the name of another.

    Returns:
        A line for every rule that was broken.
    """
    child, broken = Child(command), []
    counts: collections.Counter[str] = collections.Counter()
    slowest, said = (0.0, ""), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            rng = random.Random(f"{seed}/{number}")
            name = rng.choice(sorted(whole))
            path = Path(folder) / (rng.choice(sorted(whole)) if any_extension else name)
            path.write_bytes(damaged(whole[name], rng))
            start = time.perf_counter()
            answers = child.ask(path, limit_seconds)
            if number:  # the first has to wait for libraries
                slowest = max(slowest, (time.perf_counter() - start, f"{seed}/{number} {name}"))
            for reader, answer in answers.items():
                is_fine = answer in fine
                counts[f"{reader}: {answer if is_fine else 'broken'}"] += 1
                if not is_fine:
                    broken.append(f"{seed}/{number} {name}, {reader}: {answer}")
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{seed}_{number}_{name}").write_bytes(path.read_bytes())
            if time.perf_counter() - said > PROGRESS_SECONDS:
                said = time.perf_counter()
                print(f"{number + 1:,} of {count:,} files, {len(broken)} rules broken", file=sys.stderr, flush=True)
    child.close()
    print(", ".join(f"{k} {v}" for k, v in sorted(counts.items())) + f"; slowest {slowest[0]:.2f} s ({slowest[1]})")
    return broken
