"""How well turns of agents share batches: documents of several steps on a batch model, in a whole run.

    python tools/bench/agents.py                                   # `make bench-agents`; about a minute
    python tools/bench/agents.py --documents 64 --steps 8 --batch-size 16 --call-seconds 0.25 --workers 0 2

The model answers a batch after a fixed time, however many requests it holds. The ideal is as many full batches as hold
all steps, but no fewer calls than one document has steps, one after the other. "even": all documents have the same
number of steps; "uneven": 1 to twice as many. Each worker (`-n`) has a model of its own; the ideal is then that of the
worker with the most calls, of those that divide the documents evenly. Wanted: at most 1.3 times the ideal number of
calls. Never fails because of a figure.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WANTED = 1.3
UTILS = """
def ask(doc, kwargs=None, previous_output=None, round_idx=None, previous_round_info=None):
    if round_idx is None:
        return f"document {doc['number']}, step 1"
    outputs, info = list(previous_output), {"state": {"step": round_idx}}
    if round_idx == doc["steps"]:
        return None, "", True, outputs, info
    return None, f"document {doc['number']}, step {round_idx + 1}", False, outputs, info


def score(doc, results):
    return {"steps": doc["steps"]}
"""
YAML = """
task: agents
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
test_split: test
output_type: generate_until_agentic
doc_to_text: !function utils.ask
process_results: !function utils.score
generation_kwargs: {max_agentic_steps: 1000}
metric_list: [{metric: steps, aggregation: mean, higher_is_better: true}]
"""
CONFTEST = '''
import json, os, time
import pytest
from pytest_lmms.records import Response


class Steady:
    """Takes as long for one request as for many."""

    def __init__(self):
        self.calls = []

    def generate(self, requests):
        start = time.time()
        time.sleep(float(os.environ["CALL_SECONDS"]))
        self.calls.append([len(requests), start, time.time()])
        return [Response(text=request.text) for request in requests]


@pytest.fixture(scope="session")
def lmms_model():
    model = Steady()
    yield model
    with open(f"calls-{os.getpid()}.json", "w") as file:
        json.dump(model.calls, file)
'''


def play(steps: Sequence[int], *, batch_size: int, call_seconds: float, workers: int) -> list[list[list[float]]]:
    """Run documents; return, by worker, the calls: how many requests, when it began, when it ended."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "utils.py").write_text(UTILS)
        (folder / "agents.yaml").write_text(YAML)
        (folder / "conftest.py").write_text(CONFTEST)
        rows = [{"number": number, "steps": n} for number, n in enumerate(steps)]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(workers), "agents.yaml",
            "--lmms-batch-size", str(batch_size), "--no-lmms-report",
        ]  # fmt: skip
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "CALL_SECONDS": str(call_seconds), "PYTHONPATH": path}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the run failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return [json.loads(path.read_text()) for path in sorted(folder.glob("calls-*.json"))]


def row(name: str, steps: Sequence[int], calls: Sequence[Sequence[Sequence[float]]], args: argparse.Namespace) -> str:
    """One line of the table."""
    num_models = max(1, len(calls))
    ideal = max(math.ceil(sum(steps) / args.batch_size / num_models), *steps)
    most = max(len(of_one) for of_one in calls)
    sizes = [call[0] for of_one in calls for call in of_one]
    begin = min(call[1] for of_one in calls for call in of_one)
    end = max(call[2] for of_one in calls for call in of_one)
    fill = sum(sizes) / len(sizes) / args.batch_size
    wall, least = end - begin, ideal * args.call_seconds
    return (
        f"| {name} | {num_models} | {sum(steps)} | {ideal} | {most} | {most / ideal:.2f} | {fill:.0%} "
        f"| {least:.2f} s | {wall:.2f} s | {wall / least:.2f} |"
    )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--call-seconds", type=float, default=0.25, help="what a call of the model takes")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="values of -n")
    args = parser.parse_args()
    even = [args.steps] * args.documents
    uneven = [1 + (7 * number) % (2 * args.steps) for number in range(args.documents)]
    print(f"{args.documents} documents, batches of {args.batch_size}; wanted: at most {WANTED} times the ideal calls")
    print("| steps | models | requests | ideal calls | calls | of ideal | mean fill | ideal time | time | of ideal |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    started = time.monotonic()
    for workers in args.workers:
        for name, steps in (("even", even), ("uneven", uneven)):
            calls = play(steps, batch_size=args.batch_size, call_seconds=args.call_seconds, workers=workers)
            print(row(name, steps, calls, args), flush=True)
    print(f"measured in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
