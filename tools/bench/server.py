"""What the server costs: how long 1,000 jobs take to list, and what 50 clients that poll take from a job that runs.

    python tools/bench/server.py [--jobs 1000] [--clients 50] [--rounds 5]

The job asks the tiny model 50,000 short questions, and tells ten times a second how far it is. Each client asks for it
once a second, on a connection that it keeps; clients are one process, for in life they are other machines. What polls
cost is CPU time, which a busy machine changes less than the time that passes: what the server uses while clients poll,
less what it uses in as long a time before, with the same job running; beside what all processes of the job use.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import NamedTuple

from pytest_lmms.client import EvalClient

POLL_SECONDS = 1.0
NUM_ROWS = 50_000
TASK = """\
task: polled
dataset_path: json
dataset_kwargs:
  data_files: {{test: {rows}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}} Answer yes or no."
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 16}}
metric_list: [{{metric: exact_match}}]
"""


@contextlib.contextmanager
def served(folder: str) -> Iterator[tuple[EvalClient, int]]:
    """A server on a free port with a task of many documents, and its process."""
    tasks = Path(folder, "tasks")
    tasks.mkdir()
    (tasks / "polled.yaml").write_text(TASK.format(rows=tasks / "rows.jsonl"))
    rows = ({"question": f"Is {i} even?", "answer": "no" if i % 2 else "yes"} for i in range(NUM_ROWS))
    (tasks / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [
        sys.executable,
        "-m",
        "pytest_lmms",
        "serve",
        "--port",
        "0",
        "--devices",
        "cpu",
        "--include-path",
        "tasks",
    ]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found is not None
    client = EvalClient(found[0])
    while not client.is_healthy():
        time.sleep(0.05)
    try:
        yield client, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=90)


def server_seconds(pid: int) -> float:
    """CPU time of a process so far; of threads that have not ended."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def group_seconds(group: int) -> float:
    """CPU time of all processes of a group so far, and of their children that have ended."""
    total = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                total += sum(map(int, fields[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


def group_of_job(server: int) -> int:
    """The process that the server started."""
    (child,) = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return int(child)


def started(client: EvalClient) -> str:
    """A job that takes long, once it answers."""
    job_id = str(client.evaluate("tiny_vlm", ["polled"], settings={"report": False})["job_id"])
    while (job := client.get_job(job_id))["progress"] is None:
        assert job["status"] == "running", job["error"]
        time.sleep(0.05)
    return job_id


def poll(address: str, paths: Connection, num_clients: int, stop: Event, num_polls: Synchronized[int]) -> None:
    """All clients: each asks for the path of the moment once a second, evenly spread, until `stop` is set."""
    while path := paths.recv():
        clients = [http.client.HTTPConnection(address) for _ in range(num_clients)]
        began, n = time.monotonic(), 0
        while not stop.is_set():
            time.sleep(max(0.0, began + n * POLL_SECONDS / num_clients - time.monotonic()))
            connection = clients[n % num_clients]
            connection.request("GET", path)
            assert connection.getresponse().read()
            n += 1
            num_polls.value = n
        for connection in clients:
            connection.close()
        paths.send(n)


class Clients:
    """A process that is up before a job starts, so that its start takes nothing from one."""

    def __init__(self, client: EvalClient, num_clients: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._paths, theirs = context.Pipe()
        self._stop, self._num_polls = context.Event(), context.Value("q", 0)
        address = client._http.base_url.netloc.decode()  # noqa: SLF001  (ours)
        arguments = (address, theirs, num_clients, self._stop, self._num_polls)
        self._process = context.Process(target=poll, args=arguments, daemon=True)
        self._process.start()

    @contextlib.contextmanager
    def asking(self, path: str) -> Iterator[Synchronized[int]]:
        """They poll; the number of polls so far."""
        self._num_polls.value = 0
        self._stop.clear()
        self._paths.send(path)
        yield self._num_polls
        self._stop.set()
        self._paths.recv()

    def close(self) -> None:
        """End the process."""
        self._paths.send("")
        self._process.join()


class Window(NamedTuple):
    """What was used in some seconds."""

    seconds: float
    server: float
    job: float
    polls: int


def window(seconds: float, pid: int, group: int, num_polls: Synchronized[int]) -> Window:
    """Look at what is used while nothing else is done here."""
    before = time.monotonic(), server_seconds(pid), group_seconds(group), num_polls.value
    time.sleep(seconds)
    after = time.monotonic(), server_seconds(pid), group_seconds(group), num_polls.value
    return Window(*(b - a for a, b in zip(before, after, strict=True)))  # type: ignore[arg-type]


class Cost(NamedTuple):
    """What polls cost, of one round."""

    of_job: float
    of_core: float
    each: float


def cost_of_polls(
    client: EvalClient, pid: int, job_id: str, rounds: int, seconds: float, num_clients: int
) -> list[Cost]:
    """With clients and without, in turn."""
    clients, costs = Clients(client, num_clients), []
    group = group_of_job(pid)
    for i in range(rounds):
        alone = window(seconds, pid, group, multiprocessing.Value("q", 0))
        with clients.asking(f"/jobs/{job_id}") as num_polls:
            time.sleep(1.0)
            polled = window(seconds, pid, group, num_polls)
        polls = polled.server - alone.server * polled.seconds / alone.seconds
        costs.append(Cost(polls / polled.job, polls / polled.seconds, polls / polled.polls))
        print(f"round {i + 1} of {rounds}: {polls:.3f} s of polls, {polled.job:.1f} s of the job", file=sys.stderr)
    clients.close()
    return costs


def listing_seconds(client: EvalClient, rounds: int, num_jobs: int) -> tuple[float, float]:
    """To queue one job behind the one that runs, and to list them all."""
    began = time.monotonic()
    for _ in range(num_jobs):
        client.evaluate("dummy", ["mme"], settings={"data": "mini"})
    queueing = (time.monotonic() - began) / num_jobs
    listings = []
    for _ in range(rounds):
        began = time.monotonic()
        assert len(client.list_jobs(status="queued")) == num_jobs
        listings.append(time.monotonic() - began)
    return queueing, statistics.median(listings)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each look, with clients and without")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(folder) as (client, pid):
        job_id = started(client)
        costs = cost_of_polls(client, pid, job_id, given.rounds, given.seconds, given.clients)
        queueing, listing = listing_seconds(client, given.rounds, given.jobs)
        client.cancel_job(job_id)
    of_job, of_core, each = (statistics.median(values) for values in zip(*costs, strict=True))
    print("| | |\n| --- | ---: |")
    print(f"| {given.jobs:,} queued jobs listed | {listing * 1000:.0f} ms |")
    print(f"| one job queued | {queueing * 1000:.1f} ms |")
    print(f"| {given.clients} clients that poll: CPU of polls / CPU of job | {of_job * 100:.2f} % |")
    print(f"| CPU of polls | {of_core * 100:.2f} % of a core |")
    print(f"| CPU of one poll | {each * 1e6:.0f} us |")


if __name__ == "__main__":
    main()
