"""Real runs to look at; and waiting for a page whose policy forbids `eval`, which playwright's own waiting needs."""

from __future__ import annotations

import subprocess
import sys
import time


def evaluate(folder, *arguments):
    """The run folder of a real run; of MME, where no tasks are named."""
    if not any(a.startswith("--lmms-tasks") for a in arguments):
        arguments = ("--lmms-tasks=mme", *arguments)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--lmms-data=mini", *arguments]
    done = subprocess.run(
        [*command, f"--lmms-output-path={folder}"], capture_output=True, text=True, check=False, cwd=folder.parent,
        timeout=120,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return max(folder.glob("*/run.json"), key=lambda p: p.stat().st_mtime_ns).parent


def wait(page, condition, seconds=20):
    """Until a JavaScript expression is true."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"never true: {condition}"
        page.wait_for_timeout(50)
