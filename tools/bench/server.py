"""What the server costs: how long 1,000 jobs take to list, and what 50 clients that poll take from a job that runs.

    python tools/bench/server.py [--jobs 1000] [--clients 50] [--rounds 5]

The job evaluates the tiny model on the MME miniature, again and again (`--lmms-repeats`); its time is that of
answering, with and without clients in turn, so that a machine that grows slower harms both. Each client asks for a job
once a second.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

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
    settings = {"data": "mini", "repeats": repeats, "report": False}
    gen = {"max_new_tokens": 16, "do_sample": True, "temperature": 1.0}
    job = client.evaluate("tiny_vlm", ["mme"], settings=settings, gen_kwargs=gen)
    done = client.wait_for_job(job["job_id"], poll_interval=0.5)
    return float(done["progress"]["seconds"])


def polled(url: str, job_id: str, stop: threading.Event) -> None:
    """One client."""
    with EvalClient(url) as client:
        while not stop.wait(POLL_SECONDS):
            client.get_job(job_id)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=40, help="how often each document is asked")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(folder) as (client, pid):
        with_clients, without, shares = [], [], []
        first = client.evaluate("dummy", ["mme"], settings={"data": "mini"})["job_id"]
        client.wait_for_job(first, poll_interval=0.2)
        url = str(client._http.base_url)  # noqa: SLF001  (ours)
        for _ in range(given.rounds):
            without.append(answering_seconds(client, given.repeats))
            stop = threading.Event()
            threads = [threading.Thread(target=polled, args=(url, first, stop)) for _ in range(given.clients)]
            for thread in threads:
                thread.start()
            began, used = time.monotonic(), cpu_seconds(pid)
            with_clients.append(answering_seconds(client, given.repeats))
            shares.append((cpu_seconds(pid) - used) / (time.monotonic() - began))
            stop.set()
            for thread in threads:
                thread.join()
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
    a, b = statistics.median(without), statistics.median(with_clients)
    print("| | |\n| --- | ---: |")
    print(f"| {given.jobs:,} queued jobs listed | {statistics.median(listings) * 1000:.0f} ms |")
    print(f"| one job queued | {queueing * 1000:.1f} ms |")
    print(f"| a job, alone | {a:.2f} s |")
    print(f"| with {given.clients} clients that poll | {b:.2f} s ({(b / a - 1) * 100:+.1f} %) |")
    print(f"| CPU of the server meanwhile | {statistics.median(shares) * 100:.1f} % of a core |")


if __name__ == "__main__":
    main()
