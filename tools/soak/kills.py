"""Runs disturbed at random moments and resumed: nothing lost, nothing twice, and the results of an undisturbed run.

A disturbed run must end: by itself, with every process of its session, and with exit code 0 where its fault is one that
a run survives. Then `--lmms-resume` must end with exit code 0, and over both runs the server must not have been asked
a question again whose answer was kept: at most as many questions come twice as were in flight, none three times.
Records and results.json must equal those of a run that nobody disturbed, but for times.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from tools.soak.checks import Undisturbed, asked_wrongly, left_wrongly
from tools.soak.cluster import cluster, write_adapter
from tools.soak.disk import SmallDisk, can_mount
from tools.soak.faults import ARRANGEMENTS, FAULTS, Moment, on_cluster
from tools.soak.lab import Chat, Lab, members, wait_for

NUM_DOCUMENTS = 60
PAUSE_SECONDS = 0.1
"""Before the server answers, so that there is a time in which to disturb."""
SMALLEST_DISK_BYTES = 16_384
END_SECONDS = 120.0
"""For the processes that a run leaves behind to find out that it is over."""


@dataclass
class Outcome:
    """What became of one disturbed run."""

    number: int
    name: str
    moment: str
    what: str = ""
    code: int | None = None
    num_twice: int = 0
    breaches: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = "; ".join(self.breaches) or "as undisturbed"
        what = self.what or "nothing to disturb"
        done = f"{self.name}, {self.moment}: {what}, exit code {self.code}"
        return f"{self.number:4}  {done}, {self.num_twice} asked twice: {said}"


class Soak:
    """Disturbs one run after the other.

    Args:
        folder: For everything that is written.
        seed: Run `n` of a seed is always disturbed in the same way, at the same moment.
        only: A part of the names of faults.
    """

    def __init__(self, folder: Path, *, seed: int, only: str = "") -> None:
        self.folder, self.seed = folder, seed
        folder.mkdir(parents=True, exist_ok=True)
        self.names = [name for name in FAULTS if only in name]
        self.left_out: list[str] = []
        if not can_mount(folder):
            self._leave_out("disk full", "no right to mount a small disk")
        self._undisturbed: dict[str, Undisturbed] = {}
        self._address = ""

    def _leave_out(self, part: str, why: str) -> None:
        out = [name for name in self.names if part in name]
        self.names = [name for name in self.names if name not in out]
        self.left_out += [f"{name}: {why}" for name in out]

    def run(self, count: int, *, first: int = 0) -> list[Outcome]:
        """Disturb so many runs, from the one of that number on; prints each."""
        outcomes = []
        with contextlib.ExitStack() as stack:
            numbers = range(first, first + count)
            if any("Ray" in self.names[number % len(self.names)] for number in numbers):
                try:
                    self._address = stack.enter_context(cluster())
                except ImportError:
                    self._leave_out("Ray", "ray is not installed")
            for number in numbers:
                outcome = self.disturb(number, self.names[number % len(self.names)])
                outcomes.append(outcome)
                print(outcome, flush=True)
        return outcomes

    def disturb(self, number: int, name: str) -> Outcome:
        """Disturb one run, resume it, and look."""
        fault = FAULTS[name]
        expected = self.undisturbed(fault.arrangement)
        rng = random.Random(f"{self.seed}/{number}")
        folder = self.folder / f"{number:04}"
        folder.mkdir()
        chat, disk = Chat(folder, pause_seconds=PAUSE_SECONDS), SmallDisk(folder / "disk")
        lab = Lab(folder, chat, NUM_DOCUMENTS)
        try:
            outcome = self._disturbed(rng, number, name, lab, disk, expected)
            outcome.num_twice = sum(number > 1 for number in chat.asked().values())
            outcome.breaches += asked_wrongly(chat.asked(), NUM_DOCUMENTS, admitted=fault.admitted)
            outcome.breaches += left_wrongly(lab.folder / "disk" / "results", expected)
            if outcome.breaches and disk.path.is_mount():
                shutil.copytree(disk.path, folder / "what the small disk held")
        finally:
            chat.kill()
            disk.remove()
        if not outcome.breaches:
            shutil.rmtree(folder)
        return outcome

    def _arguments(self, arrangement: str, lab: Lab) -> list[str]:
        if arrangement == "two actors":
            write_adapter(lab.folder, lab.chat.url)
            return on_cluster(self._address)
        return list(ARRANGEMENTS[arrangement].arguments)

    def undisturbed(self, arrangement: str) -> Undisturbed:
        """The run that others are compared with; made when it is first needed."""
        if arrangement not in self._undisturbed:
            folder = self.folder / f"undisturbed {arrangement}"
            folder.mkdir()
            chat = Chat(folder, pause_seconds=PAUSE_SECONDS)
            try:
                lab = Lab(folder, chat, NUM_DOCUMENTS)
                started = time.monotonic()
                code = lab.finish(lab.start(self._arguments(arrangement, lab), folder / "disk" / "results"))
                assert code == 0, lab.said()
                seconds = time.monotonic() - started
                assert set(chat.asked().values()) == {1}, chat.asked()
            finally:
                chat.kill()
            found = Undisturbed.read(folder / "disk" / "results", seconds)
            assert [record["doc_id"] for record in found.records] == list(range(NUM_DOCUMENTS))
            self._undisturbed[arrangement] = found
        return self._undisturbed[arrangement]

    def _disturbed(
        self, rng: random.Random, number: int, name: str, lab: Lab, disk: SmallDisk, expected: Undisturbed
    ) -> Outcome:
        fault = FAULTS[name]
        output = lab.folder / "disk" / "results"
        arguments = self._arguments(fault.arrangement, lab)
        if fault.do is None:
            size = rng.randint(SMALLEST_DISK_BYTES, max(SMALLEST_DISK_BYTES, expected.size_bytes))
            outcome = Outcome(number, name, f"{size // 1024} KiB")
            disk.mount(size)
            process = lab.start(arguments, output)
        else:
            moment = Moment.drawn(rng, num_documents=NUM_DOCUMENTS, usual_seconds=expected.seconds)
            outcome = Outcome(number, name, str(moment))
            process = lab.start(arguments, output)
            if moment.wait(process, lab.chat):
                outcome.what = fault.do(rng, process, lab)
        outcome.code = lab.finish(process)
        if not wait_for(lambda: not members(process.pid), seconds=END_SECONDS, pause_seconds=0.1):
            outcome.breaches.append(f"{len(members(process.pid))} processes are left behind")
        if fault.do is None:
            outcome.what = "full" if outcome.code else "large enough"
            if outcome.code and "No space left" not in lab.said():
                outcome.breaches.append("does not say that there is no space left")
            disk.grow()
        if "INTERNALERROR" in lab.said():
            outcome.breaches.append("ends with an internal error of pytest")
        if fault.goes_on and outcome.code:
            outcome.breaches.append(f"did not survive: {lab.said()[-500:]}")
        (lab.folder / "output").rename(lab.folder / "output of the disturbed run")
        code = lab.finish(lab.start([*arguments, "--lmms-resume"], output))
        if code:
            outcome.breaches.append(f"resuming it ends with exit code {code}")
        return outcome


def table(outcomes: list[Outcome], left_out: list[str]) -> str:
    """How many runs of each fault were really disturbed, and how many were in breach."""
    lines = [f"{'fault':38} {'runs':>5} {'hit':>5} {'asked again, most':>18} {'breaches':>9}"]
    for name in FAULTS:
        found = [outcome for outcome in outcomes if outcome.name == name]
        if found:
            hit = sum(outcome.what not in ("", "large enough") for outcome in found)
            most = f"{max(outcome.num_twice for outcome in found)} of {FAULTS[name].admitted}"
            broken = sum(bool(outcome.breaches) for outcome in found)
            lines.append(f"{name:38} {len(found):5} {hit:5} {most:>18} {broken:9}")
    lines += [f"left out: {line}" for line in left_out]
    broken = sum(bool(outcome.breaches) for outcome in outcomes)
    return "\n".join([*lines, f"{len(outcomes)} runs, {broken} in breach"])
