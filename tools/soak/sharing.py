"""Many processes that read and write one response store, of which some are killed, and all in the end.

Every text follows from its key, so that each reader can tell whether what it is given is right. A writer notes how
much of its work has been acknowledged; in the end all of that must be found, and nothing that was never said.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from pytest_lmms.inference.cache import ResponseStore
from pytest_lmms.records import Response

BATCH = 4
PAUSE_SECONDS = 0.1
NUM_COMMON = 500
"""Keys that all processes write: documents that several runs ask at the same time."""
NUM_SAMPLED = 200
"""Keys that a new process looks up."""
LIFE_SECONDS = (0.5, 20.0)


def said(key: str) -> str:
    """The one text that belongs to a key: short or long, of any characters."""
    rng = random.Random(key)
    length = rng.choice((0, 3, 30, 300, 3000, 30_000))
    return key + "".join(rng.choices('ab"\\\n\t{}é\u2028\U0001f600\ud800', k=length))


def keys_of(life: str, number: int) -> list[str]:
    """What a process writes in its batch of that number; one key is everybody's."""
    return [*(f"{life}/{number}/{i}" for i in range(BATCH - 1)), f"common/{number % NUM_COMMON}"]


def live(folder: Path, notes: Path, life: str, seconds: float) -> None:
    """Read what is there, look some of it up, then write until the time is over."""
    rng = random.Random(life)
    found = ResponseStore(folder, writer="reader", read=True)
    for key in rng.sample(sorted(found._index), min(NUM_SAMPLED, len(found))):  # noqa: SLF001 (all keys there are)
        response = found.get(key)
        if response is None or response.text != said(key):
            raise AssertionError(f"{key}: {response}")
    store = ResponseStore(folder, writer=life.partition(".")[0])
    acknowledged = os.open(notes / life, os.O_WRONLY | os.O_CREAT, 0o666)
    deadline, number = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        store.put([(key, Response(text=said(key))) for key in keys_of(life, number)])
        number += 1
        os.pwrite(acknowledged, b"%012d" % number, 0)
        time.sleep(rng.random() * PAUSE_SECONDS)
    store.close()


class Crowd:
    """So many processes; one that ends or is killed is followed by another.

    Args:
        folder: For the store, and for what the processes note.
        num_processes: At any time.
        seed: Of lives and kills.
    """

    def __init__(self, folder: Path, num_processes: int, *, seed: int) -> None:
        self.store, self.notes = folder / "store", folder / "acknowledged"
        self.notes.mkdir(parents=True)
        self.num_processes, self._rng = num_processes, random.Random(seed)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])  # so that being born costs no imports
        self.num_lives = self.num_kills = 0
        self.wrong: list[str] = []

    def run(self, seconds: float) -> list[str]:
        """Let them live; prints how it goes.

        Returns:
            What is not as it must be.
        """
        started = shown = time.monotonic()
        places = [(self._born(i), self._until_killed()) for i in range(self.num_processes)]
        while time.monotonic() - started < seconds:
            for place, (process, killed_at) in enumerate(places):
                if process.is_alive() and time.monotonic() > killed_at:
                    self._kill(process)
                    places[place] = process, math.inf
                if not process.is_alive():
                    self._buried(process)
                    places[place] = (self._born(place), self._until_killed())
            if time.monotonic() - shown > 30:
                shown = time.monotonic()
                print(f"  {shown - started:.0f} s: {self.num_lives} lives, {self.num_kills} kills", flush=True)
            time.sleep(0.02)
        for process, _ in places:
            self._kill(process)
            self._buried(process)
        return [*self.wrong, *self.missing()]

    def _born(self, place: int) -> BaseProcess:
        life = f"w{place}.{self.num_lives}"
        self.num_lives += 1
        arguments = (self.store, self.notes, life, self._rng.uniform(*LIFE_SECONDS))
        process = self._context.Process(target=live, args=arguments, name=life)
        process.start()
        return process

    def _kill(self, process: BaseProcess) -> None:
        process.kill()
        self.num_kills += 1

    def _until_killed(self) -> float:
        return time.monotonic() + (self._rng.uniform(*LIFE_SECONDS) if self._rng.random() < 0.5 else math.inf)

    def _buried(self, process: BaseProcess) -> None:
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            self.wrong.append(f"{process.name} ended with {process.exitcode}; see above")

    def missing(self) -> list[str]:
        """What was acknowledged and is not to be found, or is another text; at most 20 of it."""
        found = ResponseStore(self.store, writer="reader", read=True)
        wrong, num_acknowledged = [], 0
        for note in sorted(self.notes.iterdir()):
            for number in range(int(note.read_text() or 0)):
                for key in keys_of(note.name, number):
                    num_acknowledged += 1
                    response = found.get(key)
                    if response is None or response.text != said(key):
                        wrong.append(f"{key}: {'lost' if response is None else 'another text'}")
        about = f"{self.num_lives} lives, {self.num_kills} kills, {len(list(self.store.iterdir()))} files"
        print(f"  {about}: {len(found)} responses, {num_acknowledged} acknowledged, {len(wrong)} lost or wrong")
        return wrong[:20] if num_acknowledged else ["nothing was ever written"]
