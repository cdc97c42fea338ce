"""What the server costs: how long 1,000 jobs take to list, and what 50 clients that poll take from a job that runs.

    python tools/bench/server.py [--jobs 1000] [--clients 50] [--rounds 5]

The job evaluates the tiny model on the MME miniature, again and again (`--lmms-repeats`); its time is that of
answering, with and without clients in turn, so that a machine that grows slower harms both; the figure is the median
of the pairs' ratios. Each client asks for the job that runs once a second, on a connection that it keeps. Clients are
one process with next to no work of its own: in life they are other machines. What they take from the job here is the
server's part and theirs.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
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

from pytest_lmms.client import EvalClient

POLL_SECONDS = 1.0


@contextlib.contextmanager
def served(folder: str) -> Iterator[tuple[EvalClient, int]]:
    """A server on a free port, and its process."""
    command = [sys.executable, "-m", "pytest_lmms", "serve", "--port", "0", "--devices", "cpu"]
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


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answering_seconds(client: EvalClient, repeats: int) -> float:
    """Time of one job."""
    job = submitted(client, repeats)
    return ended_seconds(client, job)


def submitted(client: EvalClient, repeats: int) -> str:
    """A job that takes a while."""
    settings = {"data": "mini", "repeats": repeats, "report": False}
    gen = {"max_new_tokens": 16, "do_sample": True, "temperature": 1.0}
    return str(client.evaluate("tiny_vlm", ["mme"], settings=settings, gen_kwargs=gen)["job_id"])


def ended_seconds(client: EvalClient, job_id: str) -> float:
    """What a job took to answer, once it has ended."""
    return float(client.wait_for_job(job_id, poll_interval=0.5)["progress"]["seconds"])


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


def polled(client: EvalClient, pid: int, repeats: int, clients: Clients) -> tuple[float, float, float]:
    """Time of a job that clients ask about; the server's share of a core meanwhile, and its CPU seconds a poll."""
    job_id = submitted(client, repeats)
    while client.get_job(job_id)["progress"] is None:
        time.sleep(0.05)
    with clients.asking(f"/jobs/{job_id}") as num_polls:
        began, used, n = time.monotonic(), cpu_seconds(pid), num_polls.value
        took = ended_seconds(client, job_id)
        used, elapsed, n = cpu_seconds(pid) - used, time.monotonic() - began, num_polls.value - n
    return took, used / elapsed, used / max(1, n)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=150, help="how often each document is asked")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(folder) as (client, pid):
        without, with_clients = [], []
        answering_seconds(client, 1)
        clients = Clients(client, given.clients)
        for i in range(given.rounds):
            without.append(answering_seconds(client, given.repeats))
            with_clients.append(polled(client, pid, given.repeats, clients))
            times = f"{without[-1]:.2f} s alone, {with_clients[-1][0]:.2f} s with clients"
            print(f"round {i + 1} of {given.rounds}: {times}", file=sys.stderr)
        clients.close()
        slow = client.evaluate("tiny_vlm", ["mme"], settings={"data": "mini", "repeats": 500})["job_id"]
        began = time.monotonic()
        for _ in range(given.jobs):
            client.evaluate("dummy", ["mme"], settings={"data": "mini"})
        queueing = (time.monotonic() - began) / given.jobs
        listings = []
        for _ in range(given.rounds):
            began = time.monotonic()
            assert len(client.list_jobs(status="queued")) == given.jobs
            listings.append(time.monotonic() - began)
        client.cancel_job(slow)
    a = statistics.median(without)
    more = statistics.median(took / alone for alone, (took, *_) in zip(without, with_clients, strict=True)) - 1
    b, share, each = (statistics.median(values) for values in zip(*with_clients, strict=True))
    print("| | |\n| --- | ---: |")
    print(f"| {given.jobs:,} queued jobs listed | {statistics.median(listings) * 1000:.0f} ms |")
    print(f"| one job queued | {queueing * 1000:.1f} ms |")
    print(f"| a job, alone | {a:.2f} s |")
    print(f"| with {given.clients} clients that poll | {b:.2f} s ({more * 100:+.1f} %, median of pairs) |")
    print(f"| CPU of the server meanwhile | {share * 100:.1f} % of a core |")
    print(f"| of one poll | {each * 1e6:.0f} us |")


if __name__ == "__main__":
    main()
