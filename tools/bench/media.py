"""How long videos take: backends x frames x length x threads, and whether all of them give the same pixels.

    python tools/bench/media.py                           # table on the terminal; `make bench-media` calls this
    python tools/bench/media.py --quick                   # two files, few settings, one round
    python tools/bench/media.py --all                     # every file with every sampling and number of threads: hours
    python tools/bench/media.py --only minute_vp9.webm    # a piece of it; also --only "minute_vp9.webm:8 frames"
    python tools/bench/media.py --table                   # measures nothing, prints what was measured
    python tools/bench/media.py --peer-python PYTHON      # beside lmms-eval's reader, in a Python that has it

Files are made with FFmpeg and kept in `--folder`. Every reader is a process of its own (`media_reader.py`); they
take turns (A B C A B C), so that a busy machine is unfair to none. Medians are shown, with the ratio to the first
reader of each group. The script measures and never judges.

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READER = Path(__file__).with_name("media_reader.py")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1")
H264 = ("-c:v", "libx264", "-preset", "veryfast")
FILES: dict[str, tuple[str, int, int, tuple[str, ...]]] = {
    # name: size, seconds, frames between key frames, encoder
    "short_360p.mp4": ("640x360", 10, 156, H264),
    "long_360p.mp4": ("640x360", 600, 156, H264),
    "long_360p_few_keys.mp4": ("640x360", 120, 3600, H264),
    "long_720p.mp4": ("1280x720", 120, 250, H264),
    "minute_1080p.mp4": ("1920x1080", 60, 60, H264),
    "minute_720p_few_keys.mp4": ("1280x720", 55, 250, H264),
    "minute_hevc.mp4": ("1280x720", 60, 250, HEVC),
    "minute_vp9.webm": ("640x360", 60, 128, VP9),
    "minute_av1.mp4": ("640x360", 60, 160, ("-c:v", "libsvtav1", "-preset", "12")),
}  # fmt: skip
QUICK_FILES = ("short_360p.mp4", "long_360p.mp4")
SAMPLINGS: dict[str, tuple[int, float | None]] = {
    "8 frames": (8, None),
    "16 frames": (16, None),
    "32 frames": (32, None),
    "fps=1": (4096, 1.0),
    "fps=30": (4096, 30.0),
}
MAX_DENSE_BYTES = 2 << 30
"""`fps=30` is left out for files with more: their frames would not fit into memory."""
SLOW_SECONDS = 3.0
THREADS = (0, 1, 2, 4, 8, 16)
CHOSEN: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    # every value of every axis at least once; threads are swept on one short and one long file
    ("short_360p.mp4", "8 frames", THREADS),
    ("short_360p.mp4", "32 frames", (8,)),
    ("short_360p.mp4", "fps=1", (8,)),
    ("short_360p.mp4", "fps=30", (2, 8)),
    ("long_360p.mp4", "8 frames", THREADS),
    ("long_360p.mp4", "16 frames", (8,)),
    ("long_360p.mp4", "32 frames", (8,)),
    ("long_360p.mp4", "fps=1", (8,)),
    ("long_360p_few_keys.mp4", "8 frames", (8,)),
    ("long_720p.mp4", "8 frames", (8,)),
    ("minute_720p_few_keys.mp4", "16 frames", (8,)),
    ("minute_1080p.mp4", "8 frames", (8,)),
    ("minute_1080p.mp4", "32 frames", (8,)),
    ("minute_hevc.mp4", "8 frames", (8,)),
    ("minute_vp9.webm", "8 frames", (8,)),
    ("minute_av1.mp4", "8 frames", (8,)),
)  # fmt: skip
QUICK = tuple((name, sampling, (8,)) for name in QUICK_FILES for sampling in ("8 frames", "32 frames", "fps=30"))


@dataclass
class Reader:
    """A process that reads videos, and what it was told to read with."""

    side: str
    backend: str
    threads: int | None
    python: str = sys.executable
    process: subprocess.Popen[str] | None = None
    seconds: list[float] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For the table."""
        if self.side == "plan":
            return "PyAV, only what the plan names"
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
        if "seconds" in self.answer:
            self.seconds.append(self.answer["seconds"])

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


def make_file(folder: Path, name: str) -> Path | None:
    """Make a video, once; None where FFmpeg lacks the encoder."""
    path = folder / name
    if path.exists():
        return path
    size, seconds, group, encoder = FILES[name]
    source = f"testsrc2=size={size}:rate=30:duration={seconds}"
    unfinished = folder / f"unfinished_{name}"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, *encoder, "-g", str(group),
               "-pix_fmt", "yuv420p", str(unfinished)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name} is left out: {done.stderr.strip().splitlines()[-1] if done.stderr else 'FFmpeg failed'}")
        return None
    return unfinished.rename(path)


def readers(peer: str | None, threads: tuple[int, ...]) -> list[Reader]:
    """Who takes turns: lmms-eval first, as the ratios' base, where there is one."""
    found = []
    if peer:
        found = [
            Reader("lmms-eval", "pyav", None, peer),
            *(Reader("lmms-eval", "torchcodec", t, peer) for t in threads),
        ]
    found += [Reader("ours", "pyav", None), *(Reader("ours", "pyav", t) for t in threads if t)]
    found += [Reader("ours", b, t) for b in ("torchcodec", "decord") for t in threads if t]
    return [*found, Reader("plan", "pyav", None)]


def measure(path: Path, sampling: tuple[int, float | None], chosen: list[Reader], rounds: int) -> list[dict[str, Any]]:
    """Time every reader on one file and sampling, in turns, after one turn that does not count."""
    for reader in chosen:
        reader.seconds, reader.answer = [], {}
    for number in range(rounds + 1):
        for reader in chosen:
            if "error" not in reader.answer and not (reader.seconds and reader.seconds[0] >= SLOW_SECONDS):
                reader.read(path, sampling)
        if not number:
            for reader in chosen:
                if reader.seconds and reader.seconds[0] < SLOW_SECONDS:
                    reader.seconds = []
    for reader in chosen:
        reader.stop()
    rows = [{"reader": r.name, **r.answer, "rounds": r.seconds} for r in chosen]
    for row in rows:
        row["median"] = statistics.median(row["rounds"]) if row["rounds"] else None
    return rows


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print one group of the table."""
    base = next((r for r in rows if r["median"]), None)
    print(
        f"\n**{title}**, {base['shape'][0] if base else 0} frames\n\n| Reader | ms | quicker than the first | pixels |"
    )
    print("| --- | ---: | ---: | --- |")
    for row in rows:
        if row["median"] is None:
            if "No module" not in row["error"]:
                print(f"| {row['reader']} |  |  | {row['error'][:80]} |")
            continue
        same = (
            "same" if row["all"] == base["all"] else "first frame same" if row["first"] == base["first"] else "differ"
        )
        print(f"| {row['reader']} | {row['median'] * 1000:.1f} | {base['median'] / row['median']:.2f} x | {same} |")


def matrix(given: argparse.Namespace) -> list[tuple[str, str, tuple[int, ...]]]:
    """Files, samplings and threads to measure."""
    cells = QUICK if given.quick else CHOSEN
    if given.all:
        cells = tuple((name, sampling, THREADS) for name in FILES for sampling in SAMPLINGS)
    only = given.only or []
    return [c for c in cells if fits(c) and (not only or c[0] in only or f"{c[0]}:{c[1]}" in only)]


def fits(cell: tuple[str, str, tuple[int, ...]]) -> bool:
    """Whether the frames of a cell fit into memory."""
    size, seconds, _, _ = FILES[cell[0]]
    width, height = map(int, size.split("x"))
    return cell[1] != "fps=30" or seconds * 30 * width * height * 3 <= MAX_DENSE_BYTES


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
    parser.add_argument("--all", action="store_true", help="every file, sampling and number of threads")
    parser.add_argument("--only", action="append", metavar="FILE[:SAMPLING]", help="a piece; can be given again")
    parser.add_argument("--results", type=Path, help="JSON lines, one a group (FOLDER/results.jsonl)")
    parser.add_argument("--again", action="store_true", help="measure also what has been measured")
    parser.add_argument("--table", action="store_true", help="print what has been measured, measure nothing")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    results = given.results or given.folder / "results.jsonl"
    rounds = given.rounds or (1 if given.quick else 3)
    before = measured(results)
    if given.table:
        for title, group in before.items():
            show(f"{title} ({group['machine']}, medians of {group['num_rounds']})", group["rows"])
        return
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}; medians of {rounds}; figures in {results}")
    for name, sampling, threads in matrix(given):
        size, seconds, group, _ = FILES[name]
        title = f"{name} ({size}, {seconds} s, a key frame every {group}): {sampling}"
        chosen = readers(given.peer_python, threads)
        asked = {"machine": machine, "num_rounds": rounds, "readers": [r.name for r in chosen]}
        known = before.get(title, {})
        if given.again or any(known.get(key) != value for key, value in asked.items()):
            path = make_file(given.folder, name)
            if path is None:
                continue
            known = {"title": title, **asked, "rows": measure(path, SAMPLINGS[sampling], chosen, rounds)}
            with results.open("a") as file:
                file.write("\n" + json.dumps(known) + "\n")  # the line before may have been cut off
        show(title, known["rows"])


if __name__ == "__main__":
    main()
