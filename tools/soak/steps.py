"""One run a step: the disk is full, becomes read-only, or the process dies at each thing that a run does to its folder.

A step is a file opened for writing, a line appended, a rename, a folder made, a file or folder removed, below the
output folder. What a kill at random moments meets once in a thousand runs, e.g. between a response's line and its
record's, between two renames at the end, is met here each time. After every disturbed run `--lmms-resume` has to end
as if nothing had been.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tools.soak.lab import ROOT, TASK, Left, without_times

KINDS = ("kill", "full", "read-only")
ERRORS = {"full": errno.ENOSPC, "read-only": errno.EROFS}
NUM_DOCUMENTS = 5
BATCH = 2
IN_FLIGHT = 3 * BATCH
"""Documents whose responses may be lost: a batch being written, one being asked, one that waits."""
LEFT_BYTES = 17
"""What a file may still grow to when the disk is full: the middle of any line."""
LIMIT_SECONDS = 120
CONFTEST = """
import os
from pathlib import Path
import pytest
from pytest_lmms.records import Response

HERE = Path(__file__).parent

class Model:
    def generate(self, requests):
        with (HERE / "asked").open("a") as file:
            file.write("".join(f"{r.doc_id}\\n" for r in requests))
        return [Response(text="A" if r.doc_id % 3 else "B", finish_reason="stop") for r in requests]

@pytest.fixture(scope="session")
def lmms_model():
    return Model()

if "STEP" in os.environ and os.environ["STEP_IN"] == os.environ.get("PYTEST_XDIST_WORKER", "main"):
    from tools.soak.steps import watch
    watch(HERE / "results", os.environ["STEP_KIND"], int(os.environ["STEP"]), HERE / "steps")
"""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
CHANGES = {"os.mkdir": 0, "os.rename": 1, "os.remove": 0, "os.rmdir": 0, "os.link": 1, "shutil.rmtree": 0}
"""Events of Python's audit that change a folder, and which argument says where."""


# --- inside the run that is disturbed ----------------------------------------------------------------------------


class _Watch:
    """Counts steps, and from one of them on lets none go well."""

    def __init__(self, folder: Path, kind: str, step: int, log: Path) -> None:
        self.folder, self.kind, self.step = os.fspath(folder), kind, step
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.number = 0
        self._write = os.write

    def below(self, path: object) -> bool:
        """Whether a path is one that counts."""
        return isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(self.folder + os.sep)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python tells of everything it is about to do; an error raised here is that of the call."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITES and self.below(path):
                self.count(f"open {path}")
        elif event in CHANGES and self.below(arguments[CHANGES[event]]):
            self.count(f"{event} {arguments[CHANGES[event]]}")

    def count(self, what: str) -> None:
        """Take one more step, unless it is too late."""
        self.number += 1
        if self.step == 0:
            self._write(self._log, f"{self.number} {what}\n".encode())
        if self.number == self.step and self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.number < self.step or self.step == 0:
            return
        if self.kind == "read-only":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if self.kind == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (LEFT_BYTES, resource.RLIM_INFINITY))
            if what.startswith("os.mkdir"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, fd: int, data: Any) -> int:
        """In the place of `os.write`; a kill comes in the middle of a line."""
        path = os.readlink(f"/proc/self/fd/{fd}")
        if not self.below(path):
            return self._write(fd, data)
        if self.number + 1 == self.step and self.kind == "kill":
            self._write(fd, bytes(data)[: len(data) // 2])
        self.count(f"write {path}")
        if self.kind == "full" and 0 < self.step <= self.number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(fd, data)


def watch(folder: Path, kind: str, step: int, log: Path) -> None:
    """Disturb this process at a step; step 0 only counts."""
    watching = _Watch(folder, kind, step, log)
    sys.addaudithook(watching.audit)
    os.write = watching.write  # type: ignore[assignment]


# --- outside ---------------------------------------------------------------------------------------------------------


def kinds_in(process: str) -> tuple[str, ...]:
    """What can be done to a process.

    A worker's disk is not made full: the limit of a process holds for the files of pytest's capture, too, and what
    is seen then is pytest's own failure. `soak kills` fills a real disk under workers.
    """
    return KINDS if process == "main" else tuple(kind for kind in KINDS if kind != "full")


@dataclass
class Outcome:
    """What became of one run that was disturbed at one step."""

    kind: str
    step: int
    process: str
    what: str
    code: int | None = None
    breaches: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = "; ".join(self.breaches) or "as undisturbed"
        return f"{self.kind} at step {self.step} of {self.process} ({self.what}), exit code {self.code}: {said}"


class Steps:
    """Disturbs a run at each of its steps.

    Args:
        folder: For everything that is written.
        arguments: More of pytest's, e.g. `-n 2`.
    """

    def __init__(self, folder: Path, arguments: Sequence[str] = ()) -> None:
        self.folder, self.arguments = folder, list(arguments)
        self.expected = self._start(folder / "undisturbed")
        code, said = self.evaluate(self.expected)
        if code:
            raise RuntimeError(f"the undisturbed run fails: {said}")

    def _start(self, folder: Path) -> Path:
        (folder / "bench" / "miniature").mkdir(parents=True)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "bench" / "soak.yaml").write_text(yaml.safe_dump(TASK, sort_keys=False))
        rows = (json.dumps({"question": f"q{i}", "answer": "A"}) + "\n" for i in range(NUM_DOCUMENTS))
        (folder / "bench" / "miniature" / "soak.jsonl").write_text("".join(rows))
        return folder

    def evaluate(self, folder: Path, *arguments: str, kind: str = "kill", step: int = 0, process: str = "main",
                 resume: bool = False) -> tuple[int, str]:  # fmt: skip
        """Exit code and output of a run."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
        environment |= {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        }  # fmt: skip
        if not resume:
            environment |= {"STEP": str(step), "STEP_KIND": kind, "STEP_IN": process}
        command = [
            sys.executable, "-m", "pytest", "-p", "pytest_lmms.plugin", "-p", "xdist", "-p", "no:cacheprovider", "-q",
            "--lmms-data", "mini", "--lmms-batch-size", str(BATCH), "--lmms-report", "bench", *self.arguments,
            *(["--lmms-resume"] if resume else []), *arguments,
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=folder, env=environment, timeout=LIMIT_SECONDS, check=False, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        return done.returncode, done.stdout

    def names(self, process: str = "main") -> list[str]:
        """What each step of an undisturbed run is, in their order."""
        folder = self._start(self.folder / f"counted {process}")
        self.evaluate(folder, process=process)
        lines = (folder / "steps").read_text().splitlines() if (folder / "steps").exists() else []
        return [line.partition(" ")[2].replace(f"{folder}/results/", "") for line in lines]

    def disturb(self, kind: str, step: int, process: str, what: str) -> Outcome:
        """Disturb one run, resume it, and look."""
        folder = self._start(self.folder / f"{kind} {step} {process}")
        outcome = Outcome(kind, step, process, what)
        outcome.code, said = self.evaluate(folder, kind=kind, step=step, process=process)
        if outcome.code and kind != "kill" and os.strerror(ERRORS[kind]) not in said and "too large" not in said:
            outcome.breaches.append(f"does not say why: {said[-1500:]}")
        if "INTERNALERROR" in said or "Traceback (most recent" in said:
            outcome.breaches.append(f"ends with a traceback: {said[-1500:]}")
        whole = outcome.code == 0
        if whole:
            outcome.breaches += self._differences(folder)
        code, said = self.evaluate(folder, resume=True)
        if code:
            outcome.breaches.append(f"resuming it ends with exit code {code}: {said[-1500:]}")
        outcome.breaches += self._differences(folder)
        asked = (folder / "asked").read_text().split() if (folder / "asked").exists() else []
        often = [d for d in set(asked) if asked.count(d) > 2]
        twice = sum(asked.count(d) == 2 for d in set(asked))
        if often or twice > IN_FLIGHT:
            outcome.breaches.append(f"asked more than twice: {sorted(often)}, twice: {twice}")
        if left := [str(p.relative_to(folder)) for p in Left(folder / "results").path.glob("**/*.tmp")]:
            outcome.breaches.append(f"left behind: {left}")
        return outcome

    def _differences(self, folder: Path) -> Iterator[str]:
        expected = Left(self.expected / "results")
        try:
            left = Left(folder / "results")
            records, results = left.records(), left.results()
        except (OSError, ValueError) as e:
            yield f"cannot be read: {e}"
            return
        if without_times(records) != without_times(expected.records()):
            yield "records differ from the undisturbed run's"
        if _alike(results, folder) != _alike(expected.results(), self.expected):
            yield "results.json differs from the undisturbed run's"


def _alike(results: dict[str, Any], folder: Path) -> Any:
    return json.loads(json.dumps(without_times(results)).replace(str(folder), ""))
