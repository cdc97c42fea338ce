"""How near a run against a chat-completions server comes to what the server allows.

    python tools/bench/remote.py                       # `make bench-remote`: ours alone
    python tools/bench/remote.py --peer-python PYTHON  # beside lmms-eval (a Python that has it)
    python tools/bench/remote.py --inspect-python PYTHON

Whole runs are measured, and the server keeps the time: from the first request to the last answer, so that nobody's
start-up counts. The ideal rate is the number in flight divided by the time that an answer takes. CPU time per request
is the client's, without its start-up: that of a run of few documents is taken away. Unlike rates, it depends little on
what else the machine does. The script measures and never judges; README.md beside it says how to read the table.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 600
NUM_AT_START = 16
"""Documents of the run whose CPU time counts as start-up."""

TASK = """\
task: {name}
dataset_path: parquet
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.visual
doc_to_text: question
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 16, temperature: 0}}
process_results: !function utils.score
metric_list: [{{metric: right, aggregation: mean, higher_is_better: true}}]
"""
UTILS = """\
def visual(doc):
    return [doc["image"].convert("RGB")] if doc.get("image") is not None else []


def score(doc, results):
    return {"right": float(results[0].startswith(doc["answer"]))}
"""
INSPECT = """\
import base64, io, sys
import pyarrow.parquet as pq
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, get_model
from inspect_ai.solver import generate

rows, url, number = sys.argv[1:]
samples = []
for row in pq.read_table(rows).to_pylist():
    content = [ContentText(text=row["question"])]
    if row.get("image"):
        text = base64.b64encode(row["image"]["bytes"]).decode()
        content.insert(0, ContentImage(image="data:image/jpeg;base64," + text))
    samples.append(Sample(input=[ChatMessageUser(content=content)], target=row["answer"]))
model = get_model("openai/m", base_url=url, api_key="k", responses_api=False)
logs = eval(Task(dataset=samples, solver=generate()), model=model, max_connections=int(number),
            max_samples=2 * int(number), display="none", log_dir="logs", max_tokens=16, temperature=0)
assert logs[0].status == "success", logs[0].error
"""


@dataclass(frozen=True)
class Setting:
    """One thing to measure."""

    name: str
    num_documents: int
    num_concurrent: int
    seconds: float
    images: bool = False
    hidden_limit: int | None = None
    """The server refuses above it; nobody is told."""


SETTINGS = (
    Setting("16 in flight, 768x1024 JPEG", 480, 16, 0.2, images=True),
    Setting("64 in flight, text", 1920, 64, 0.2),
    Setting("256 in flight, text", 12800, 256, 0.1),
    Setting("hidden limit of 20", 2000, 256, 0.2, hidden_limit=20),
    Setting("hidden limit of 100", 6000, 256, 0.2, hidden_limit=100),
)


def write_rows(path: Path, setting: Setting) -> None:
    """Rows of one task: a question, an answer, and for some a photograph-like JPEG."""
    import datasets
    from PIL import Image

    rng = random.Random(0)
    numbers = range(setting.num_documents)
    columns: dict[str, list[object]] = {
        "question": [f"{rng.choice(['What', 'Which thing', 'How many'])} is on picture {i}?" for i in numbers],
        "answer": ["A"] * setting.num_documents,
    }
    features = {"question": datasets.Value("string"), "answer": datasets.Value("string")}
    if setting.images:
        pictures = []
        for _ in range(40):
            coarse = Image.frombytes("RGB", (96, 128), rng.randbytes(96 * 128 * 3))
            buffer = io.BytesIO()
            coarse.resize((768, 1024), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
            pictures.append({"bytes": buffer.getvalue(), "path": None})
        columns["image"] = [pictures[i % 40] for i in numbers]
        features["image"] = datasets.Image()
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(columns, features=datasets.Features(features)).to_parquet(path)


@contextmanager
def serving(setting: Setting) -> Iterator[str]:
    """A server of its own for one run; its address."""
    limit = [] if setting.hidden_limit is None else ["--limit", str(setting.hidden_limit)]
    command = [sys.executable, str(Path(__file__).with_name("loopback.py")), "--seconds", str(setting.seconds), *limit]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.stdin.close()
        server.wait()


def command_of(who: str, setting: Setting, folder: Path, url: str, python: str) -> list[str]:
    """The command that asks every document of a setting."""
    number, name = setting.num_concurrent, "loopback"
    arguments = f"model=m,base_url={url}/v1,api_key=k"
    known = "" if setting.hidden_limit is not None else f",num_concurrent={number}"
    if who == "pytest-lmms":
        return [python, "-m", "pytest", str(folder / "tasks"), "-q", "-p", "no:cacheprovider", "--lmms-model", "openai",
                "--lmms-model-args", arguments + known, "--lmms-output-path", "out"]  # fmt: skip
    if who == "inspect_ai":
        return [python, str(folder / "inspect_run.py"), str(folder / "rows.parquet"), f"{url}/v1", str(number)]
    model = who.partition(" ")[2]
    theirs = f"model_version=m,base_url={url}/v1,api_key=k,timeout=60,max_retries=5"
    theirs += f",num_concurrent={number}" if model == "openai" else f",num_cpus={number}"
    if setting.hidden_limit is not None:
        theirs += ",adaptive_concurrency=True,adaptive_max_concurrency=256"
    return [python, "-m", "lmms_eval", "--model", model, "--model_args", theirs, "--tasks", name, "--include_path",
            str(folder / "tasks"), "--batch_size", str(number) if model == "openai" else "1", "--output_path", "out",
            "--log_samples"]  # fmt: skip


def measure(who: str, setting: Setting, folder: Path, python: str) -> Mapping[str, float] | str:
    """Run once; the server's figures, or what went wrong."""
    work = folder / "run"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "PYTEST_"))}
    env |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / f"hub-{who.split(maxsplit=1)[0]}"), "NO_PROXY": "*"}
    if who == "pytest-lmms":
        env["PYTHONPATH"] = str(ROOT)
    with serving(setting) as url:
        env["OPENAI_API_BASE"] = env["OPENAI_BASE_URL"] = f"{url}/v1"
        before = cpu_seconds()
        with (work / "log.txt").open("wb") as log:
            command = command_of(who, setting, folder, url, python)
            try:
                done = subprocess.run(  # noqa: PLW1510
                    command, cwd=work, env=env, stdout=log, stderr=log, timeout=LIMIT_SECONDS
                )
            except subprocess.TimeoutExpired:
                return f"no end within {LIMIT_SECONDS} s"
        spent = cpu_seconds() - before
        with urllib.request.urlopen(f"{url}/stats") as answer:  # noqa: S310
            stats: dict[str, float] = json.load(answer)
    if done.returncode or not stats["answered"]:
        last = (work / "log.txt").read_text(errors="replace").strip().splitlines()[-1:]
        return f"exit code {done.returncode}: {''.join(last)[:160]}"
    return {**stats, "cpu_seconds": spent}


def cpu_seconds() -> float:
    """What all commands have taken that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def per_request(found: Mapping[str, float], start: Mapping[str, float] | str) -> str:
    """Milliseconds of CPU that a request takes, beyond start-up."""
    if isinstance(start, str):
        return "?"
    spent, number = (found[name] - start[name] for name in ("cpu_seconds", "answered"))
    return f"{1000 * spent / number:.2f}" if number > 0 else "?"


def row(who: str, setting: Setting, found: Mapping[str, float] | str, start: Mapping[str, float] | str) -> str:
    """One line of the table."""
    if isinstance(found, str):
        return f"| {setting.name} | {who} | {found} | | | | | |"
    rate = found["answered"] / found["seconds"]
    ideal = (setting.hidden_limit or setting.num_concurrent) / setting.seconds
    lost = setting.num_documents - found["answered"]
    return (
        f"| {setting.name} | {who} | {rate:.0f} | {rate / ideal:.2f} | {found['average_in_flight']:.1f} "
        f"| {found['refused']:.0f} | {lost:.0f} | {per_request(found, start)} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=os.path.abspath, help="a Python that has lmms-eval")
    parser.add_argument("--inspect-python", type=os.path.abspath, help="a Python that has inspect_ai and openai")
    parser.add_argument("--only", default="", help="settings whose name contains this text")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the documents")
    options = parser.parse_args()
    sides = {"pytest-lmms": sys.executable}
    if options.peer_python:
        sides |= {"lmms-eval openai": options.peer_python, "lmms-eval async_openai": options.peer_python}
    if options.inspect_python:
        sides["inspect_ai"] = options.inspect_python
    print(
        "| setting | who | answers/s | of ideal | average in flight | refused | lost | CPU ms/request |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for setting in SETTINGS:
        if options.only not in setting.name:
            continue
        setting = replace(setting, num_documents=max(2 * NUM_AT_START, int(setting.num_documents * options.scale)))
        with tempfile.TemporaryDirectory(prefix="bench-remote-") as name:
            few = replace(setting, num_documents=NUM_AT_START)
            begun, whole = prepare(Path(name) / "few", few), prepare(Path(name) / "all", setting)
            starts = {who: measure(who, few, begun, python) for who, python in sides.items()}
            for _ in range(options.repeats):
                for who, python in sides.items():
                    print(row(who, setting, measure(who, setting, whole, python), starts[who]), flush=True)
                    time.sleep(0.5)


def prepare(folder: Path, setting: Setting) -> Path:
    """Write a task and its rows into a new folder."""
    tasks = folder / "tasks"
    tasks.mkdir(parents=True)
    write_rows(folder / "rows.parquet", setting)
    (tasks / "loopback.yaml").write_text(TASK.format(name="loopback", rows=folder / "rows.parquet"))
    (tasks / "utils.py").write_text(UTILS)
    (folder / "inspect_run.py").write_text(INSPECT)
    return folder


if __name__ == "__main__":
    main()
