"""Fail when a JUnit file holds a test that was skipped for a reason nobody has agreed to."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

# How pytest writes a module that is skipped as a whole: the file, the line and the reason, as a Python tuple.
WHOLE_MODULE = re.compile(r"\(.*, \d+, (['\"])Skipped: (?P<reason>.*)\1\)", re.DOTALL)


def _reason(skip: ET.Element) -> str:
    module = WHOLE_MODULE.fullmatch(skip.text or "")
    if skip.get("message") == "collection skipped" and module:
        return module["reason"]
    return skip.get("message") or ""


def main(report: str) -> int:
    """Compare the skips of `report` with allowed_skips.txt beside this file, and return the exit code."""
    lines = Path(__file__).with_name("allowed_skips.txt").read_text(encoding="utf-8").splitlines()
    allowed = [line for line in lines if line and not line.startswith("#")]
    num_tests = 0
    unexpected = []
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314  (pytest wrote it a moment ago)
        num_tests += 1
        for skip in case.iter("skipped"):
            reason = _reason(skip)
            if skip.get("type") != "pytest.xfail" and not any(re.fullmatch(a, reason) for a in allowed):
                unexpected.append(f"{case.get('classname')}::{case.get('name')}: {reason}")
    for line in unexpected:
        sys.stdout.write(f"skipped without an agreed reason: {line}\n")
    if not num_tests:
        sys.stdout.write(f"{report} holds no tests\n")
    return 1 if unexpected or not num_tests else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
