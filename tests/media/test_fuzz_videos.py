"""A seeded share of the damaged videos of `make fuzz-media`, read by a process that may die without harm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FUZZER = Path(__file__).parents[2] / "tools" / "fuzz" / "media.py"


def test_damaged_videos_crash_nothing_hang_nothing_and_raise_only_our_errors():
    done = subprocess.run(
        [sys.executable, str(FUZZER), "--count", "400", "--seed", "7"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "pyav: refused" in done.stdout
    assert "pyav: read" in done.stdout
