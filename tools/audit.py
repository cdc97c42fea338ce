"""Look the packages of an environment up among known vulnerabilities; nothing looked up is no clean bill.

    python tools/audit.py PIP_AUDIT SITE_PACKAGES

pip-audit ends with 0 when the index does not know a single package, as behind a mirror without PyPI's JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

UNKNOWN_SHARE = 0.1
"""Of packages that may be skipped: our own, and builds with a local version such as torch's for CPUs."""


def verdict(dependencies: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """The exit code for pip-audit's findings, and what to say about them."""
    lines = [
        f"{found['name']} {found['version']}: {hole['id']}, fixed in {', '.join(hole['fix_versions']) or 'no version'}"
        for found in dependencies
        for hole in found.get("vulns", ())
    ]
    skipped = [found["name"] for found in dependencies if "skip_reason" in found]
    looked_up = len(dependencies) - len(skipped)
    lines.append(f"{looked_up} of {len(dependencies)} packages looked up, {len(lines)} known vulnerabilities")
    if len(skipped) > UNKNOWN_SHARE * len(dependencies):
        lines.append(
            "too few to say anything: is this index a mirror without PyPI's JSON? Run it where pypi.org is reached"
        )
        return 2, lines
    lines += [f"not looked up: {', '.join(skipped)}"] if skipped else []
    return int(any(found.get("vulns") for found in dependencies)), lines


def main() -> int:
    """The exit code: 0 nothing known, 1 vulnerabilities, 2 not looked up."""
    pip_audit, packages = sys.argv[1:]
    command = [pip_audit, "--format", "json", "--progress-spinner", "off", "--path", packages]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"pip-audit ended with {done.returncode} and told nothing")
        return 2
    code, lines = verdict(found)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
