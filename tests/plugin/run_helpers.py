"""A place to run real pytest processes on a small task, with a model that can be told to misbehave."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CONFTEST = """
import json, os, subprocess, sys, time
from pathlib import Path
import pytest
from pytest_lmms.records import Response, TokenCounts

HERE = Path(__file__).parent


class Model:
    batch_invariant = True

    def generate(self, requests):
        plan = json.loads((HERE / "plan.json").read_text())
        time.sleep(plan.get("seconds", 0))
        if plan.get("prints"):
            print("the adapter says hello")
        for request in requests:
            with (HERE / "asked").open("a") as file:
                file.write(f"{request.doc_id} {os.environ.get('PYTEST_XDIST_WORKER', 'main')}\\n")
            self.misbehave(plan, request.doc_id)
        return [
            Response(text="A", finish_reason="stop", tokens=TokenCounts(input_tokens=5, output_tokens=2))
            for _ in requests
        ]

    def misbehave(self, plan, doc_id):
        if plan.get("raises") == "all" or doc_id in plan.get("raises", ()):
            raise ValueError("this document is too hard")
        if doc_id in plan.get("hangs", ()):
            time.sleep(3600)
        if doc_id in plan.get("kills", ()):
            os.kill(os.getpid(), 9)
        if doc_id in plan.get("kills_once", ()):
            marker = HERE / f"killed-{doc_id}"
            if not marker.exists():
                marker.touch()
                if plan.get("leaves_child"):
                    os.set_inheritable(1, True)
                    for fd in range(3, 20):
                        try:
                            os.set_inheritable(fd, True)
                        except OSError:
                            pass
                    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], close_fds=False,
                                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    (HERE / "child").write_text(str(child.pid))
                os.kill(os.getpid(), 9)


@pytest.fixture(scope="session")
def lmms_model(pytestconfig):
    told = getattr(pytestconfig, "workerinput", {}).get("lmms", {})
    with (HERE / "slots").open("a") as file:
        file.write(f"{told.get('slot')} {os.environ.get('PYTEST_XDIST_WORKER', 'main')}\\n")
    return Model()
"""


class Lab:
    """A folder with a task `toy`, a model, and what runs leave behind."""

    def __init__(self, path: Path, write_task: Callable[..., Path]) -> None:
        self.path = path
        self._write_task = write_task
        (path / "pytest.ini").write_text("[pytest]\n")
        (path / "conftest.py").write_text(CONFTEST)
        self.plan()

    def task(self, rows: Any, name: str = "toy", **fields: Any) -> None:
        """Write a task below `bench`."""
        self._write_task(self.path / "bench", name, rows, **fields)

    def plan(self, **plan: Any) -> None:
        """Tell the model how to behave: raises, hangs, kills, kills_once (lists of documents), seconds, prints."""
        (self.path / "plan.json").write_text(json.dumps(plan))

    # --- running -------------------------------------------------------------------------------------------------

    def start(self, *arguments: str, plugins: tuple[str, ...] = ("xdist",), **options: Any) -> subprocess.Popen[bytes]:
        """Start pytest in a process group of its own, with no plugins but ours and those named."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
        paths = [str(self.path), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": os.pathsep.join(paths)}
        loaded = [word for plugin in ("pytest_lmms.plugin", *plugins) for word in ("-p", plugin)]
        targets = [] if any(a.startswith("bench") for a in arguments) else ["bench"]
        report = [] if "--lmms-report" in arguments else ["--no-lmms-report"]  # a page that few tests look at
        command = [sys.executable, "-m", "pytest", *loaded, "--lmms-data", "mini", *report, *targets, *arguments]
        # A file: an orphan that holds a pipe open would keep its reader waiting.
        with (self.path / "output").open("w") as output:
            options = {"stdout": output, "stderr": subprocess.STDOUT, **options}
            return subprocess.Popen(command, cwd=self.path, env=environment, start_new_session=True, **options)

    def run(self, *arguments: str, plugins: tuple[str, ...] = ("xdist",), timeout: float = 300) -> Run:
        """Run pytest to its end."""
        return self.finish(self.start(*arguments, plugins=plugins), timeout=timeout)

    def finish(self, process: subprocess.Popen[bytes], timeout: float = 300) -> Run:
        """Wait for a process; one that hangs is killed, and fails the test."""
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"no end within {timeout} s:\n{(self.path / 'output').read_text()}") from None
        return Run(process.returncode, (self.path / "output").read_text())

    def wait_until_asked(self, number: int, timeout: float = 200) -> None:
        """Wait until the model was asked so many times."""
        deadline = time.monotonic() + timeout
        while sum(self.asked().values()) < number:
            assert time.monotonic() < deadline, "the model was never asked"
            time.sleep(0.01)

    # --- what is left --------------------------------------------------------------------------------------------

    def asked(self) -> Counter[int]:
        """How often the model was asked each document, over all runs since `forget`."""
        try:
            lines = (self.path / "asked").read_text().splitlines()
        except FileNotFoundError:
            return Counter()
        return Counter(int(line.split()[0]) for line in lines if line.strip())

    def forget(self) -> None:
        """Start counting anew."""
        (self.path / "asked").unlink(missing_ok=True)

    def slots(self) -> list[tuple[str, str]]:
        """(slot, worker) of every process that made a model, in that order."""
        return [tuple(line.split()) for line in (self.path / "slots").read_text().splitlines()]  # type: ignore[misc]

    @property
    def run_path(self) -> Path:
        """The newest run folder."""
        return max((p.parent for p in self.path.glob("results/*/run.json")), key=lambda p: p.stat().st_ctime_ns)

    @property
    def results(self) -> dict[str, Any]:
        """results.json of the newest run."""
        return json.loads((self.run_path / "results.json").read_text())

    @property
    def status(self) -> str:
        """How run.json says the newest run ended."""
        return json.loads((self.run_path / "run.json").read_text())["status"]

    def records(self, task: str = "toy") -> list[dict[str, Any]]:
        """Samples of the newest run."""
        text = (self.run_path / f"samples_{task}.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]


class Run:
    """A process that has ended."""

    def __init__(self, code: int, output: str) -> None:
        self.code = code
        self.output = output

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.output}"


def timeless(value: Any) -> Any:
    """A copy without what two equal runs may differ in: times, names of processes, what came from the store."""
    dropped = {"timings", "num_cached", "date", "throughput", "resolved_cli_args", "setting_sources"}
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in dropped}
    return [timeless(v) for v in value] if isinstance(value, list) else value


@contextlib.contextmanager
def killed_at_the_end(pid_file: Path) -> Iterator[None]:
    """Leave no orphan behind, whatever the test says."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)


@pytest.fixture
def lab(pytester: pytest.Pytester, write_task: Callable[..., Path]) -> Lab:
    """An empty lab."""
    return Lab(pytester.path, write_task)
