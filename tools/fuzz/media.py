"""Damaged videos, to every reader: no crash, no hang, no unbounded memory, and no error but ours.

    python tools/fuzz/media.py --count 5000 --seed 0      # `make fuzz-media`
    python tools/fuzz/media.py --keep DIR                 # where files that broke a rule are kept

A child process reads the files, one after another. If it dies or takes longer than the limit, the file is known, the
child is replaced, and the rest goes on. Exits with 1 when a rule was broken.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
from damage import damaged  # noqa: E402

SEEDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "start.mp4": {"container_options": {"movflags": "faststart"}, "sound": True},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=error:keyint=10:open-gop=1"}},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "h264.mkv": {},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "h264.ts": {},
}
MAX_MEMORY_MB = 2000
"""Of address space beyond what the libraries take."""


def seeds() -> dict[str, bytes]:
    """Whole files, small ones."""
    from tests.made_videos import make_video

    with tempfile.TemporaryDirectory() as folder:
        return {
            name: Path(make_video(Path(folder) / name, num_frames=24, group=8, **options)).read_bytes()
            for name, options in SEEDS.items()
        }


# --- the child ----------------------------------------------------------------------------------------------------


def child(backends: list[str]) -> None:
    """Read files named on standard input, one JSON answer a file."""
    import resource

    from pytest_lmms.errors import LmmsError
    from pytest_lmms.media.video import open_video
    from pytest_lmms.records import MediaRef

    os.environ["LMMS_VIDEO_CACHE_MB"] = "0"
    os.environ.setdefault("LMMS_VIDEO_PYAV_THREADS", "2")
    limited = False
    for line in sys.stdin:
        name = line.rstrip("\n")
        answers = {}
        for backend in backends:
            try:
                found = open_video(MediaRef(kind="video", path=name), num_frames=8, backend=backend)
                answers[backend] = "replaced" if found.num_replaced else "read"
                assert 1 <= len(found) <= 8
                assert found.frames.shape[3] == 3
            except LmmsError as e:
                answers[backend] = "refused"
                if name not in str(e):
                    answers[backend] = f"no path in: {e}"
            except MemoryError:
                answers[backend] = "out of memory"
            except Exception as e:  # noqa: BLE001 - anything that is no error of ours is what is looked for
                answers[backend] = f"{type(e).__name__}: {e}"
        print(json.dumps(answers), flush=True)
        if not limited:  # the libraries are loaded now
            with open("/proc/self/statm", encoding="ascii") as file:
                now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (now + MAX_MEMORY_MB * 1_000_000, resource.RLIM_INFINITY))
            limited = True


# --- the parent ---------------------------------------------------------------------------------------------------


class Child:
    """A process that reads, replaced when it dies."""

    def __init__(self, backends: list[str]) -> None:
        self._command = [sys.executable, __file__, "--child", ",".join(backends)]
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


def run(count: int, seed: int, backends: list[str], limit_seconds: float, keep: Path | None) -> list[str]:
    """Feed damaged files; return a line for every rule that was broken."""
    whole = seeds()
    reader, broken = Child(backends), []
    counts: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            rng = random.Random(f"{seed}/{number}")
            name = rng.choice(sorted(whole))
            path = Path(folder) / name
            path.write_bytes(damaged(whole[name], rng))
            start = time.perf_counter()
            answers = reader.ask(path, limit_seconds)
            slowest = max(slowest, time.perf_counter() - start) if number else 0.0
            for backend, answer in answers.items():
                fine = answer in ("read", "replaced", "refused")
                counts[f"{backend}: {answer if fine else 'broken'}"] += 1
                if not fine:
                    broken.append(f"{seed}/{number} {name}, {backend}: {answer}")
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{seed}_{number}_{name}").write_bytes(path.read_bytes())
    reader.close()
    print(", ".join(f"{k} {v}" for k, v in sorted(counts.items())) + f"; slowest {slowest:.2f} s")
    return broken


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backends", default="pyav")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one file")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child.split(","))
        return 0
    broken = run(given.count, given.seed, given.backends.split(","), given.limit, given.keep)
    print("\n".join(broken))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
