"""Hours of trouble: `make soak`.

    python -m tools.soak kills --count 100 --seed 0 [--first 0] [--only "Ray actor"]
    python -m tools.soak requests --count 10000 --seed 0 [--minutes 120]
    python -m tools.soak load --count 100000 --concurrent 1000 [--minutes 120]
    python -m tools.soak sharing --processes 16 --minutes 10
    python -m tools.soak steps [--workers 2]

Each command prints how it goes and a table; exit code 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path


def kills(options: argparse.Namespace, folder: Path) -> bool:
    """Whether every disturbed run was as it must be."""
    from tools.soak.kills import Soak, table

    soak = Soak(folder, seed=options.seed, only=options.only)
    outcomes = soak.run(options.count, first=options.first)
    print(table(outcomes, soak.left_out))
    return not any(outcome.breaches for outcome in outcomes)


def requests(options: argparse.Namespace, folder: Path) -> bool:
    """Whether a server that misbehaves was borne, in both ways of asking, again and again until the time is over."""
    from tools.soak.bad_server import ask

    wrong: list[str] = []
    end = time.monotonic() + options.minutes * 60
    for seed in itertools.count(options.seed):
        for stream in (True, False):
            wrong += ask(folder / f"{seed}, stream {stream}", options.count, seed=seed, stream=stream)
        if time.monotonic() >= end:
            break
    return _told(wrong)


def load(options: argparse.Namespace, folder: Path) -> bool:
    """Whether run after run at full rate asks once, scores right and takes the same memory."""
    from tools.soak.load import load

    return _told(load(folder, options.count, concurrent=options.concurrent, minutes=options.minutes))


def sharing(options: argparse.Namespace, folder: Path) -> bool:
    """Whether one store served many processes."""
    from tools.soak.sharing import Crowd

    return _told(Crowd(folder, options.processes, seed=options.seed).run(options.minutes * 60))


def steps(options: argparse.Namespace, folder: Path) -> bool:
    """Whether a run may be disturbed at each thing that it does to its folder."""
    from tools.soak.steps import Steps, kinds_in

    workers = ["-n", str(options.workers)] if options.workers else []
    soak, wrong = Steps(folder, workers), []
    for process in ("main", *(["gw0"] if workers else [])):
        names = soak.names(process)
        for kind in kinds_in(process):
            for step, what in enumerate(names, 1):
                outcome = soak.disturb(kind, step, process, what)
                print(outcome, flush=True)
                wrong += outcome.breaches
    return _told(wrong)


def _told(wrong: list[str]) -> bool:
    for what in wrong:
        print(f"BREACH: {what}")
    return not wrong


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="kept; without it a temporary one, which is kept after a breach")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("kills", help="runs killed, interrupted, or out of space, and resumed")
    command.add_argument("--count", type=int, default=100)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--first", type=int, default=0, help="the number of the first run, to go on from there")
    command.add_argument("--only", default="", help="a part of a fault's name")
    command.set_defaults(run=kills)
    command = commands.add_parser("requests", help="documents through a server that misbehaves by script")
    command.add_argument("--count", type=int, default=10_000)
    command.add_argument("--seed", type=int, default=0, help="of the first two runs; the next two have the next one")
    command.add_argument("--minutes", type=float, default=0.0, help="begin runs for so long; without it two runs")
    command.set_defaults(run=requests)
    command = commands.add_parser("load", help="runs at full rate, many requests in flight, at a server that behaves")
    command.add_argument("--count", type=int, default=100_000)
    command.add_argument("--concurrent", type=int, default=1_000)
    command.add_argument("--minutes", type=float, default=0.0, help="begin runs for so long; without it two runs")
    command.set_defaults(run=load)
    command = commands.add_parser("sharing", help="processes that share a response store")
    command.add_argument("--processes", type=int, default=16)
    command.add_argument("--minutes", type=float, default=10.0)
    command.add_argument("--seed", type=int, default=0)
    command.set_defaults(run=sharing)
    command = commands.add_parser("steps", help="a run disturbed at each thing that it does to its folder")
    command.add_argument("--workers", type=int, default=0)
    command.set_defaults(run=steps)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    is_well = options.run(options, folder)
    if not is_well:
        print(f"what was left behind: {folder}")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
