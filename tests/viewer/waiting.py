"""Waiting for a page whose policy forbids `eval`, which playwright's own waiting needs."""

from __future__ import annotations

import time


def wait(page, condition, seconds=20):
    """Until a JavaScript expression is true."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"never true: {condition}"
        page.wait_for_timeout(50)
