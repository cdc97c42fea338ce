"""A folder with one task, a server on loopback that counts, and evaluations of the one at the other."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 900.0
"""After which a run counts as one that hangs; so long because machines that soak are busy."""
TASK = {
    "task": "soak", "dataset_path": "nobody/has-this-dataset", "test_split": "test", "output_type": "generate_until",
    "doc_to_text": "question", "doc_to_target": "answer", "metric_list": [{"metric": "exact_match"}],
    "generation_kwargs": {"max_new_tokens": 8},
}  # fmt: skip
OWN = frozenset({
    "timings", "num_cached", "date", "throughput", "resolved_cli_args", "setting_sources", "arguments", "flags",
    "retried", "n_retried", "total_evaluation_time_seconds",
})  # fmt: skip
"""What two equal runs may differ in: times, and what says how a response was come by."""


class Chat:
    """The process of `tools.soak.chat`."""

    def __init__(
        self, folder: Path, *, pause_seconds: float = 0.0, misbehave: int | None = None, calm: bool = False
    ) -> None:
        self.log = folder / "asked"
        self._options = ["--log", str(self.log), "--pause-seconds", str(pause_seconds)]
        self._options += [] if misbehave is None else ["--misbehave", str(misbehave)]
        self._options += ["--calm"] if calm else []
        self.url = ""
        self.start()

    def start(self) -> None:
        """Serve, at the same address as before where there was one."""
        port = urlsplit(self.url).port if self.url else 0
        command = [sys.executable, "-m", "tools.soak.chat", *self._options, "--port", str(port)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"the server of the soak did not start: {' '.join(command)}")

    def kill(self) -> None:
        """End it as `kill -9` does; a second call does nothing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def asked(self) -> Counter[str]:
        """How often each question arrived since `forget`."""
        return Counter(self.log.read_text().split()) if self.log.exists() else Counter()

    def num_asked(self) -> int:
        """How many questions arrived since `forget`."""
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0

    def forget(self) -> None:
        """Count from nothing; the server holds the file open, so that it is emptied and not removed."""
        if self.log.exists():
            os.truncate(self.log, 0)


class Lab:
    """Runs of the task `soak` in a folder."""

    def __init__(self, folder: Path, chat: Chat, num_documents: int) -> None:
        self.folder, self.chat, self.num_documents = folder, chat, num_documents
        (folder / "bench" / "miniature").mkdir(parents=True)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "bench" / "soak.yaml").write_text(yaml.safe_dump(TASK, sort_keys=False))
        rows = (json.dumps({"question": f"q{i}", "answer": f"A{i}"}) + "\n" for i in range(num_documents))
        (folder / "bench" / "miniature" / "soak.jsonl").write_text("".join(rows))

    def start(self, arguments: list[str], output: Path) -> subprocess.Popen[bytes]:
        """Start pytest as the leader of a session, writing its run folder below `output`."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_", "OPENAI_"))}
        paths = [str(self.folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment |= {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": os.pathsep.join(paths),
            "OPENAI_API_BASE": self.chat.url, "OPENAI_API_KEY": "none-is-needed",
        }  # fmt: skip
        command = [
            sys.executable, "-m", "pytest", "-p", "pytest_lmms.plugin", "-p", "xdist", "-p", "no:cacheprovider", "-q",
            "--lmms-data", "mini", "--no-lmms-report", "--lmms-output-path", str(output), "bench", *arguments,
        ]  # fmt: skip
        with (self.folder / "output").open("wb") as file:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, start_new_session=True, stdout=file, stderr=file
            )

    def finish(self, process: subprocess.Popen[bytes], *, limit_seconds: float = LIMIT_SECONDS) -> int:
        """The exit code of a run.

        Raises:
            TimeoutError: It hangs; its processes are killed.
        """
        try:
            return process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise TimeoutError(f"no end within {limit_seconds:g} s: {self.said()[-2000:]}") from None

    def said(self) -> str:
        """What the last run printed."""
        return (self.folder / "output").read_text(errors="replace")


class Left:
    """What a run left below a folder."""

    def __init__(self, output: Path) -> None:
        paths = [path.parent for path in output.glob("*/run.json")]
        if not paths:
            raise FileNotFoundError(f"no run folder below {output}")
        self.path = max(paths, key=lambda path: path.stat().st_ctime_ns)

    def records(self) -> list[dict[str, Any]]:
        """The samples, in their order; raises ValueError for a line that is no JSON."""
        return [json.loads(line) for line in (self.path / "samples_soak.jsonl").read_text().splitlines()]

    def results(self) -> dict[str, Any]:
        """results.json."""
        return dict(json.loads((self.path / "results.json").read_text()))


def without_times(value: Any) -> Any:
    """A copy without `OWN`, and without what is empty once that is gone."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in OWN}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def members(session: int) -> list[int]:
    """Processes of a session that have not ended; a zombie has."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(stat.parent.name))
    return found


def wait_for(condition: Any, *, seconds: float = LIMIT_SECONDS, pause_seconds: float = 0.01) -> bool:
    """Whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_seconds)
    return True
