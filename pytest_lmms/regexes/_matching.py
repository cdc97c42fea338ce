"""The process in which `patterns` matches what may take long: reads a line of JSON, answers with one.

A timer of the kernel ends the whole process, since `re` looks for signals only now and then.
"""

from __future__ import annotations

import json
import re
import signal
import sys


def main() -> None:
    """Answer until the other side closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the other side decides
    seconds = float(sys.argv[1])
    for line in sys.stdin.buffer:
        method, pattern, flags, text, *more = json.loads(line)
        regex = re.compile(pattern, flags)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        found = regex.findall(text) if method == "findall" else regex.sub(more[0], text, more[1])
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
