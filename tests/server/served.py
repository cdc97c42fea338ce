"""A real `pytest-lmms serve`, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from pytest_lmms.client import EvalClient

ROOT = Path(__file__).parents[2]


class Served:
    """Serves a folder until `stop` or `kill`; `start` serves it again."""

    def __init__(self, folder, *arguments, env=None):
        self.folder = folder
        self.arguments = arguments
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        self.start()

    def start(self):
        command = [
            sys.executable,
            "-m",
            "pytest_lmms",
            "serve",
            "--port",
            "0",
            "--devices",
            "cpu",
            *self.arguments,
        ]  # a later --devices wins
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + self.process.stdout.read()
        self.url = found[0]
        self.client = EvalClient(self.url, token=self.env.get("LMMS_SERVER_TOKEN"))
        until(self.client.is_healthy)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.client.close()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=70)
        self.kill()

    def evaluate(self, model="dummy", tasks=("mme",), model_args=None, **fields):
        fields.setdefault("settings", {"data": "mini"})
        return self.client.evaluate(model, list(tasks), model_args, **fields)["job_id"]

    def job(self, job_id):
        return self.client.get_job(job_id)


def until(condition, seconds=60):
    """What the condition gave, once it gives something."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value
