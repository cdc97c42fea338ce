"""One evaluation by either harness, on made-up rows against a server on loopback, and what it left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.chat_server import Server  # noqa: E402

KEY = "sk-canary-1f0c77a9"
NUM_DOCUMENTS = 200
LIMIT_SECONDS = 600
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.no_visuals
doc_to_text: question
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 8{generation}}}
process_results: !function utils.{score}
metric_list:
  - metric: acc
    aggregation: {aggregation}
    higher_is_better: true
{more}
"""
CODE = """
import os
from pathlib import Path

def no_visuals(doc):
    return []

def score(doc, results):
    if os.environ.get("RAISE_ON") == doc["question"] and results[0].strip() == "A":
        with open(os.environ["SCORED"], "a") as file:
            file.write("called\\n")
        raise KeyError("gold")
    return {"acc": float(results[0].strip() == doc["answer"])}

def clustered(doc, results):
    return {"acc": {"score": float(results[0].strip() == doc["answer"]), "video": doc["question"][:2]}}

def average(items):
    return sum(item["score"] for item in items) / len(items)
"""
TOOLS = """
import json, sys

def send(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

for line in sys.stdin:
    message = json.loads(line)
    method, number = message.get("method"), message.get("id")
    if method == "initialize":
        send(id=number, result={"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                                "serverInfo": {"name": "made", "version": "1"}})
    elif method == "tools/list":
        send(id=number, result={"tools": [{"name": "add", "inputSchema": {"type": "object"}}]})
    elif method == "tools/call":
        send(id=number, result={"content": [{"type": "text", "text": "3"}], "isError": False})
"""


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it left."""

    code: int
    output: str
    folder: Path

    def samples(self, task: str = "faults") -> list[dict[str, Any]]:
        """Rows of a task's samples files."""
        files = self.folder.rglob(f"*samples_{task}.jsonl")
        return [json.loads(line) for path in files for line in path.read_text().splitlines()]

    @property
    def results(self) -> str:
        """The text of results.json; empty without one."""
        return "".join(path.read_text() for path in self.folder.rglob("*results.json"))

    def value(self, name: str = "acc", task: str = "faults") -> float | str:
        """What stands under a metric's name, or what stands in its place."""
        if not self.results:
            return "no file"
        result = json.loads(self.results)["results"].get(task, {})
        found = next((v for k, v in result.items() if k.split(",")[0] == name), None)
        return "none" if found is None else found

    @property
    def leaks(self) -> list[str]:
        """Where the key stands."""
        found = ["the terminal"] if KEY in self.output else []
        files = [p for p in self.folder.parents[1].rglob("*") if p.is_file()]
        return found + [re.sub(r"\d{6,}\S*_", "", p.name) for p in files if KEY.encode() in p.read_bytes()]


@dataclass
class Lab:
    """Runs one of the harnesses in a folder that holds tasks."""

    folder: Path
    python: str
    is_peer: bool
    server: Server = field(default_factory=Server)
    later: int = field(default_factory=free_port)
    """A port where nobody listens yet."""

    def __post_init__(self) -> None:
        """Write tasks and rows."""
        self.server.text = "A"
        (self.tasks / "rows").mkdir(parents=True, exist_ok=True)
        (self.tasks / "utils.py").write_text(CODE)
        (self.folder / "tools.py").write_text(TOOLS)
        (self.folder / "pytest.ini").write_text("[pytest]\n")
        self.task("faults", NUM_DOCUMENTS)
        self.task("after", 20)
        self.task("small", 4)
        self.task("stops", 4, generation=", until: [STOP]")
        self.task("clusters", 40, score="clustered", aggregation="!function utils.average",
                  more="score_key: score\ncluster_key: video")  # fmt: skip

    @property
    def tasks(self) -> Path:
        """Where tasks lie."""
        return self.folder / "tasks"

    def task(self, name: str, number: int, *, score: str = "score", aggregation: str = "mean", generation: str = "",
             more: str = "") -> None:  # fmt: skip
        """Write one task; of `clusters`, five questions are about one video, and right or wrong together."""
        rows = self.tasks / "rows" / f"{name}.jsonl"
        made = [{"question": f"q{i // 5 if more else i}-{i}", "answer": "AB"[i // 5 % 2] if more else "A"}
                for i in range(number)]  # fmt: skip
        if not more:
            made = [{"question": f"q{i}", "answer": "A"} for i in range(number)]
        rows.write_text("".join(json.dumps(row) + "\n" for row in made))
        text = TASK.format(name=name, rows=rows, score=score, aggregation=aggregation, generation=generation, more=more)
        (self.tasks / f"{name}.yaml").write_text(text)

    def run(self, name: str, *, base_url: str = "", model: str = "openai", tasks: str = "faults", cache: str = "",
            raise_on: str = "", arguments: str = "", options: tuple[str, ...] = (), kill_after: int = 0,
            key: str = "key") -> Outcome:  # fmt: skip
        """Evaluate tasks; `kill_after` kills the harness when so many requests have come to the server."""
        self.server.requests.clear()
        folder = self.folder / name / "out"
        folder.mkdir(parents=True, exist_ok=True)
        given = f"base_url={base_url or self.server.url},api_key={key},max_retries=1{arguments}"
        command = self.peers(given, model, tasks, folder) if self.is_peer else self.ours(given, model, tasks, folder)
        if cache:
            command += ["--use_cache" if self.is_peer else "--lmms-cache", str(folder.parents[1] / f"cache-{cache}")]
        environment = os.environ | {
            "PYTHONPATH": os.environ.get("PEER_PATH", "") if self.is_peer else str(ROOT), "RAISE_ON": raise_on,
            "SCORED": str(folder.parent / "scored"), "HF_HUB_OFFLINE": "1", "HF_HOME": str(self.folder / "hf"),
            "CUDA_VISIBLE_DEVICES": "",
        }  # fmt: skip
        output = folder.parent / "output"
        with output.open("w") as file:
            process = subprocess.Popen([*command, *options], cwd=self.folder, env=environment, stdout=file, stderr=file,
                                       start_new_session=True)  # fmt: skip
            self._wait(process, kill_after)
        return Outcome(process.returncode, output.read_text(errors="replace"), folder)

    def _wait(self, process: subprocess.Popen[bytes], kill_after: int) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while process.poll() is None:
            is_late = time.monotonic() > deadline
            if is_late or (kill_after and len(self.server.requests) >= kill_after):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            time.sleep(0.01)

    def peers(self, given: str, model: str, tasks: str, folder: Path) -> list[str]:
        """The command of lmms-eval."""
        return [self.python, "-m", "lmms_eval", "--model", model, "--model_args", f"model_version=m,{given}", "--tasks",
                tasks, "--include_path", str(self.tasks), "--log_samples", "--output_path", str(folder)]  # fmt: skip

    def ours(self, given: str, model: str, tasks: str, folder: Path) -> list[str]:
        """The command of pytest-lmms."""
        files = [str(self.tasks / f"{task}.yaml") for task in tasks.split(",")]
        return [self.python, "-m", "pytest", "-q", *files, "--lmms-model", model, "--lmms-model-args",
                f"model=m,{given}", "--lmms-output-path", str(folder)]  # fmt: skip

    @property
    def asked(self) -> int:
        """How many requests came to the server since the last run began."""
        return len(self.server.requests)

    @property
    def questions(self) -> set[str]:
        """What they asked."""
        return {str(body["messages"][-1]["content"]) for _, _, body in self.server.requests}
