"""The same faults before two harnesses: what each made of a dead endpoint, a scorer that raises, a key, a second run.

    python tools/bench/faults.py --peer-python PYTHON    # PYTHON has lmms-eval

One made-up task, local rows, a chat-completions server on loopback. It prints a table and judges nothing.
tests/faults holds the same cases as tests of pytest-lmms.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.chat_server import Server  # noqa: E402

KEY = "sk-canary-1f0c77a9"
DEAD = "http://127.0.0.1:9/v1"
NUM_DOCUMENTS = 200
TASK = """
task: faults
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.no_visuals
doc_to_text: question
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 8}}
process_results: !function utils.score
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""
CODE = """
import os

def no_visuals(doc):
    return []

def score(doc, results):
    if os.environ.get("RAISE_ON") == doc["question"]:
        raise KeyError("gold")
    return {"acc": float(results[0].strip() == doc["answer"])}
"""


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it left."""

    code: int
    output: str
    folder: Path

    @property
    def samples(self) -> list[dict[str, Any]]:
        """Rows of every samples file."""
        return [json.loads(line) for p in self.folder.rglob("*samples_*.jsonl") for line in p.read_text().splitlines()]

    @property
    def score(self) -> float | str:
        """The task's `acc`, or what stands in its place."""
        for path in self.folder.rglob("*results.json"):
            result = json.loads(path.read_text())["results"].get("faults", {})
            value = next((v for k, v in result.items() if k.split(",")[0] == "acc"), None)
            return "none" if value is None else value
        return "no file"

    @property
    def leaks(self) -> list[str]:
        """Where the key stands."""
        found = ["the terminal"] if KEY in self.output else []
        files = [p for p in self.folder.parent.rglob("*") if p.is_file()]
        return found + [re.sub(r"\d{6,}\S*_", "", p.name) for p in files if KEY.encode() in p.read_bytes()]


Run = Callable[..., Outcome]


def runner(lab: Path, python: str, *, peer: bool) -> Run:
    """A function that runs one evaluation with either harness."""

    def run(name: str, base_url: str, *, cache: str = "", raise_on: str = "") -> Outcome:
        folder = lab / ("theirs" if peer else "ours") / name / "out"
        arguments = f"model_version=m,base_url={base_url},api_key={KEY},max_retries=1"
        if peer:
            command = [python, "-m", "lmms_eval", "--model", "async_openai", "--model_args", arguments, "--tasks",
                       "faults", "--include_path", str(lab / "tasks"), "--log_samples", "--output_path", str(folder),
                       *(["--use_cache", str(lab / f"theirs-{cache}")] if cache else [])]  # fmt: skip
        else:
            ours = f"model=m,base_url={base_url},api_key={KEY},max_retries=1"
            command = [python, "-m", "pytest", "-q", str(lab / "tasks/faults.yaml"), "--lmms-model", "openai",
                       "--lmms-model-args", ours, "--lmms-output-path", str(folder),
                       *(["--lmms-cache", str(lab / f"ours-{cache}")] if cache else [])]  # fmt: skip
        environment = os.environ | {
            "PYTHONPATH": "" if peer else str(ROOT),
            "RAISE_ON": raise_on,
            "HF_HUB_OFFLINE": "1",
        }
        environment |= {"HF_HOME": str(lab / "hf"), "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            command, cwd=lab, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        return Outcome(done.returncode, done.stdout + done.stderr, folder)

    return run


def cases(run: Run, server: Server) -> dict[str, str]:
    """What one harness made of each fault."""
    told: dict[str, str] = {}
    dead = run("dead", DEAD, cache="poison")
    told["endpoint dead: exit code, score"] = f"{dead.code}, {dead.score}"
    server.requests.clear()
    healed = run("healed", server.url, cache="poison")
    told["endpoint back, same cache: asked, score"] = f"{len(server.requests)}, {healed.score}"
    server.requests.clear()
    run("again", server.url, cache="poison")
    told["same command again: asked"] = str(len(server.requests))
    raising = run("raising", server.url, raise_on="q57")
    told["scorer raises on 1 of 200: exit code, samples kept"] = f"{raising.code}, {len(raising.samples)}"
    hashes = {row.get("doc_hash") for row in healed.samples}
    told["different doc_hash among 200 documents"] = str(len(hashes))
    told["key in"] = ", ".join(sorted({*dead.leaks, *healed.leaks})) or "nothing"
    return told


def main() -> None:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", help="a Python that has lmms-eval; without it, its column is empty")
    options = parser.parse_args()
    server = Server()
    server.text = "A"
    with tempfile.TemporaryDirectory() as name:
        lab = Path(name)
        (lab / "tasks").mkdir()
        rows = lab / "rows.jsonl"
        rows.write_text("".join(json.dumps({"question": f"q{i}", "answer": "A"}) + "\n" for i in range(NUM_DOCUMENTS)))
        (lab / "tasks" / "faults.yaml").write_text(TASK.format(rows=rows))
        (lab / "tasks" / "utils.py").write_text(CODE)
        (lab / "pytest.ini").write_text("[pytest]\n")
        ours = cases(runner(lab, sys.executable, peer=False), server)
        theirs = cases(runner(lab, options.peer_python, peer=True), server) if options.peer_python else {}
    print("| fault | pytest-lmms | lmms-eval |\n|---|---|---|")
    for fault, outcome in ours.items():
        print(f"| {fault} | {outcome} | {theirs.get(fault, '')} |")


if __name__ == "__main__":
    main()
