"""What a soak does to a run: the ways, and the moment."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from tools.soak.cluster import actors
from tools.soak.lab import Chat, Lab, members, wait_for

CONCURRENT = 4
"""Requests that one process has in flight."""
BATCH = 2
"""Requests of one batch of an actor, which has one batch in hand and one that waits."""


@dataclass(frozen=True)
class Arrangement:
    """How a run is divided, and how many requests it has in flight."""

    arguments: tuple[str, ...]
    num_processes: int
    in_flight_each: int = CONCURRENT


REMOTE = ("--lmms-model", "openai", "--lmms-model-args",
          f"model=m,num_concurrent={CONCURRENT},stream=False,max_retries=12,retry_backoff_s=0.2")  # fmt: skip
TIMEOUT_SECONDS = 4.0
"""Of one request, where workers are impatient."""
IMPATIENT = (*REMOTE[:-1], f"{REMOTE[-1]},timeout={TIMEOUT_SECONDS:g}")
ARRANGEMENTS = {
    "one process": Arrangement(REMOTE, 1),
    "two workers": Arrangement((*REMOTE, "-n", "2"), 2),
    "two impatient workers": Arrangement((*IMPATIENT, "-n", "2"), 2),
    "two actors": Arrangement((), 2, 2 * BATCH),
}
"""The arguments of the last need a cluster: `on_cluster`."""


def on_cluster(address: str) -> list[str]:
    """Arguments of a run of two actors."""
    return ["--lmms-model", "asker", "--lmms-batch-size", str(BATCH), "--lmms-ray", address, "--lmms-replicas", "2"]


@dataclass(frozen=True)
class Moment:
    """When: so many seconds after the start, or after so many questions and a little."""

    seconds: float
    after_questions: int = 0

    @classmethod
    def drawn(cls, rng: random.Random, *, num_documents: int, usual_seconds: float) -> Moment:
        """One of any time of a run in four; else one while questions are asked."""
        if rng.random() < 0.25:
            return cls(rng.random() * usual_seconds)
        return cls(rng.random() * 0.1, rng.randint(1, num_documents - 1))

    def wait(self, process: subprocess.Popen[bytes], chat: Chat) -> bool:
        """Wait for it; whether the run is still there then."""
        if self.after_questions:
            wait_for(lambda: chat.num_asked() >= self.after_questions or process.poll() is not None)
        wait_for(lambda: process.poll() is not None, seconds=self.seconds)
        return process.poll() is None

    def __str__(self) -> str:
        return f"{self.after_questions} asked" if self.after_questions else f"{self.seconds:.1f} s"


Doing = Callable[[random.Random, "subprocess.Popen[bytes]", Lab], str]
"""Disturbs a run; says what it did, or nothing when there was nothing to disturb."""


def kill_controller(rng: random.Random, process: subprocess.Popen[bytes], lab: Lab) -> str:
    """End the process that was started, and it alone: its workers have to find out."""
    process.kill()
    return "killed"


def kill_worker(rng: random.Random, process: subprocess.Popen[bytes], lab: Lab) -> str:
    """End one of xdist's workers."""
    workers = [pid for pid in members(process.pid) if pid != process.pid]
    if not workers:
        return ""
    with contextlib.suppress(ProcessLookupError):
        os.kill(rng.choice(sorted(workers)), signal.SIGKILL)
    return "killed"


def stop_worker(rng: random.Random, process: subprocess.Popen[bytes], lab: Lab) -> str:
    """Hold one of xdist's workers for longer than its requests may take, as a suspended machine is held."""
    workers = [pid for pid in members(process.pid) if pid != process.pid]
    if not workers:
        return ""
    worker = rng.choice(sorted(workers))
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker, signal.SIGSTOP)
        time.sleep(TIMEOUT_SECONDS * (1.2 + rng.random()))
        os.kill(worker, signal.SIGCONT)
    return "held"


def terminate(rng: random.Random, process: subprocess.Popen[bytes], lab: Lab) -> str:
    """Ask the process that was started to end, and it alone, as a queue of jobs does."""
    process.terminate()
    return "terminated"


def kill_server(rng: random.Random, process: subprocess.Popen[bytes], lab: Lab) -> str:
    """End the server of the model; it is back after up to a second."""
    lab.chat.kill()
    time.sleep(rng.random())
    lab.chat.start()
    return "killed, and started again"


def kill_actor(rng: random.Random, process: subprocess.Popen[bytes], lab: Lab) -> str:
    """End one of Ray's actors."""
    found = actors(lab.folder)
    if not found:
        return ""
    with contextlib.suppress(ProcessLookupError):
        os.kill(rng.choice(sorted(found)), signal.SIGKILL)
    return "killed"


def interrupt(rng: random.Random, process: subprocess.Popen[bytes], lab: Lab) -> str:
    """Ctrl-C: all processes of a terminal get it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    return "interrupted"


def interrupt_twice(rng: random.Random, process: subprocess.Popen[bytes], lab: Lab) -> str:
    """Ctrl-C, and again after up to half a second."""
    interrupt(rng, process, lab)
    time.sleep(rng.random() * 0.5)
    interrupt(rng, process, lab)
    return "interrupted twice"


@dataclass(frozen=True)
class Fault:
    """A way to disturb, and in which arrangement."""

    arrangement: str
    do: Doing | None
    """None: the disk of the run is too small."""
    processes_hit: int = 1
    """How many of the processes that ask lose what they have in flight."""
    goes_on: bool = False
    """Whether the run has to reach its end all the same."""

    @property
    def admitted(self) -> int:
        """Requests that may be asked again: what was in flight at those processes.

        What arrives when the disk is full has made place for as many others before anybody knows that.
        """
        return self.processes_hit * ARRANGEMENTS[self.arrangement].in_flight_each * (2 if self.do is None else 1)


FAULTS = {
    "kill -9 of the process": Fault("one process", kill_controller),
    "kill -9 of the controller": Fault("two workers", kill_controller, 2),
    "kill -9 of a worker": Fault("two workers", kill_worker, goes_on=True),
    "kill -9 of the server": Fault("one process", kill_server, goes_on=True),
    "kill -9 of the server of two workers": Fault("two workers", kill_server, 2, goes_on=True),
    "kill -9 of a Ray actor": Fault("two actors", kill_actor, goes_on=True),
    "disk full": Fault("one process", None),
    "disk full under two workers": Fault("two workers", None, 2),
    "interrupt": Fault("one process", interrupt),
    "interrupt of two workers": Fault("two workers", interrupt, 2),
    "two interrupts": Fault("one process", interrupt_twice),
    "two interrupts of two workers": Fault("two workers", interrupt_twice, 2),
    "SIGTERM of the process": Fault("one process", terminate),
    "SIGTERM of the controller": Fault("two workers", terminate, 2),
    "a worker held for longer than a timeout": Fault("two impatient workers", stop_worker, goes_on=True),
}
