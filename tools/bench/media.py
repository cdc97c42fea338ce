"""How long videos take: backends x frames x length x threads, and whether all of them give the same pixels.

    python tools/bench/media.py --peer-python PYTHON      # beside lmms-eval's reader; `make bench-media` calls this
    python tools/bench/media.py --quick                   # two files, few settings, one round
    python tools/bench/media.py --more                    # every file, codec by codec; decord too: an hour
    python tools/bench/media.py --all                     # every file with every sampling and number of threads: hours
    python tools/bench/media.py --only minute_720p_vp9.webm   # a piece; also --only "minute_720p_vp9.webm:8 frames"
    python tools/bench/media.py --table --figure cpu      # measures nothing, prints what was measured: processor time

Files are made with FFmpeg and kept in `--folder`. Every reader is a process of its own (`media_reader.py`); they
take turns (A B C A B C), so that a busy machine is unfair to none. Medians are shown, with the ratio to the first
reader of each group; the last table, which docs/videos.md has, holds for each group ours against the better of
lmms-eval's two readers and against PyAV decoding only what the plan names. The script measures and never judges.

Each group is a line of `--results`, written as soon as it is measured; a run that was interrupted goes on behind it.
A reader that needs longer than 3 seconds for its first turn has no other: that one counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from media_files import SAMPLINGS, cells, label_of, make_file, title_of
from media_table import FIGURES, PLAN, show, summarise

READER = Path(__file__).with_name("media_reader.py")
SLOW_SECONDS = 3.0


@dataclass
class Reader:
    """A process that reads videos, and what it was told to read with."""

    side: str
    backend: str
    threads: int | None
    python: str = sys.executable
    process: subprocess.Popen[str] | None = None
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For the table."""
        if self.side == "plan":
            return PLAN
        who = "" if self.side == "ours" else f"{self.side} "
        return f"{who}{self.backend}" + ("" if self.threads is None else f", {self.threads} threads")

    def read(self, path: Path, sampling: tuple[int, float | None]) -> None:
        """Have a video read once, and note the time."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [self.python, str(READER), self.side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        order = {"path": str(path), "num_frames": sampling[0], "fps": sampling[1], "backend": self.backend,
                 "threads": self.threads}  # fmt: skip
        print(json.dumps(order), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        self.answer = json.loads(line) if line else {"error": "the process died"}
        if "error" not in self.answer:
            self.seconds.append(self.answer.pop("seconds"))
            self.cpu_seconds.append(self.answer.pop("cpu_seconds"))

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


def readers(peer: str | None, threads: tuple[int, ...], backends: Sequence[str]) -> list[Reader]:
    """Who takes turns: lmms-eval first, as the ratios' base, where there is one."""
    found = []
    if peer:
        found = [Reader("lmms-eval", "pyav", None, peer)]
        if "torchcodec" in backends:
            found += [Reader("lmms-eval", "torchcodec", t, peer) for t in threads]
    found += [Reader("ours", "pyav", None)]
    found += [Reader("ours", b, t) for b in backends for t in threads if t]
    return [*found, Reader("plan", "pyav", None)]


def measure(path: Path, sampling: tuple[int, float | None], chosen: list[Reader], rounds: int) -> list[dict[str, Any]]:
    """Time every reader on one file and sampling, in turns, after one turn that does not count."""
    for reader in chosen:
        reader.seconds, reader.cpu_seconds, reader.answer = [], [], {}
    for number in range(rounds + 1):
        for reader in chosen:
            if "error" not in reader.answer and not (reader.seconds and reader.seconds[0] >= SLOW_SECONDS):
                reader.read(path, sampling)
        if not number:
            for reader in chosen:
                if reader.seconds and reader.seconds[0] < SLOW_SECONDS:
                    reader.seconds, reader.cpu_seconds = [], []
    for reader in chosen:
        reader.stop()
    rows = [{"reader": r.name, **r.answer, "rounds": r.seconds, "cpu_rounds": r.cpu_seconds} for r in chosen]
    for row in rows:
        row["median"] = statistics.median(row["rounds"]) if row["rounds"] else None
    return rows


def measured(results: Path) -> dict[str, dict[str, Any]]:
    """Groups measured before, by title; the last line of a title counts. A line that was cut off is left out."""
    found = {}
    for line in results.read_text().splitlines() if results.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            group = json.loads(line)
            found[group["title"]] = group
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "pytest-lmms-bench-media")
    parser.add_argument("--peer-python", help="a Python that has lmms-eval")
    parser.add_argument("--rounds", type=int, default=None, help="that count, after one that does not (3; quick: 1)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--more", action="store_true", help="every file")
    parser.add_argument("--all", action="store_true", help="every file, sampling and number of threads")
    parser.add_argument("--backends", help="of ours, with threads (torchcodec; more, all: pyav,torchcodec,decord)")
    parser.add_argument("--only", action="append", metavar="FILE[:SAMPLING]", help="a piece; can be given again")
    parser.add_argument("--results", type=Path, help="JSON lines, one a group (FOLDER/results.jsonl)")
    parser.add_argument("--again", action="store_true", help="measure also what has been measured")
    parser.add_argument("--table", action="store_true", help="print what has been measured, measure nothing")
    parser.add_argument("--figure", choices=FIGURES, default="median", help="of the last table; on a busy machine: cpu")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    results = given.results or given.folder / "results.jsonl"
    rounds = given.rounds or (1 if given.quick else 3)
    before = measured(results)
    if given.table:
        for title, group in before.items():
            show(f"{title} ({group['machine']}, medians of {group['num_rounds']})", group["rows"])
        summarise([(g.get("label", f"{t} | "), g["rows"]) for t, g in before.items()], figure=given.figure)
        return
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}; medians of {rounds}; figures in {results}")
    backends = given.backends or ("pyav,torchcodec,decord" if given.more or given.all else "torchcodec")
    shown = []
    for cell in cells(quick=given.quick, everything=given.all, more=given.more, only=given.only or ()):
        name, sampling, threads = cell
        title = title_of(cell)
        chosen = readers(given.peer_python, threads, backends.split(","))
        asked = {"machine": machine, "num_rounds": rounds, "readers": [r.name for r in chosen]}
        known = before.get(title, {})
        if given.again or any(known.get(key) != value for key, value in asked.items()):
            path = make_file(given.folder, name)
            if path is None:
                continue
            known = {
                "title": title,
                "label": label_of(cell),
                **asked,
                "rows": measure(path, SAMPLINGS[sampling], chosen, rounds),
            }
            with results.open("a") as file:
                file.write("\n" + json.dumps(known) + "\n")  # the line before may have been cut off
        show(title, known["rows"])
        shown.append((label_of(cell), known["rows"]))
    summarise(shown, figure=given.figure)


if __name__ == "__main__":
    main()
