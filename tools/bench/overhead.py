"""What the harness itself costs: a model that takes no time, over thousands of generated MME-like rows.

    python tools/bench/overhead.py            # table on the terminal; `make bench` calls this
    python tools/bench/overhead.py --quick    # 4,000 rows, one repeat

Each command runs in a process of its own, interleaved with the others (A B A B), so that a busy machine is unfair to
none. Medians are shown. The script measures and never judges: it exits with 0 whatever the figures are. README.md
beside this file says how to read the table.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("lmms_eval_requirements.txt")
PEER = "lmms-eval"
PEER_VERSION = "0.7.3"
PEER_TORCH = "2.13.0"
SMALL, LARGE = 4_000, 40_000
NUM_LONG, LONG_CHARS = 10_000, 20_000
CATEGORIES = ("existence", "count", "position", "color", "commonsense_reasoning", "code_reasoning")
NUM_IMAGES = 250
POLL_SECONDS = 0.02
LIMIT_SECONDS = 900
MIB = 1024.0
"""KiB in a MiB: /proc counts in KiB."""

TASK_OURS = """\
# The shipped MME task, asked about generated rows.
task: {name}
include: {shipped}
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: {rows}
"""
TASK_PEER = """\
# An MME task for lmms-eval, with the functions of its own package, asked about generated rows.
task: {name}
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: {rows}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.mme_doc_to_visual
doc_to_text: !function utils.mme_doc_to_text
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 16, temperature: 0, do_sample: false}}
process_results: !function utils.mme_process_results
metric_list:
  - {{metric: mme_perception_score, aggregation: !function utils.mme_aggregate_results, higher_is_better: true}}
  - {{metric: mme_cognition_score, aggregation: !function utils.mme_aggregate_results, higher_is_better: true}}
lmms_eval_specific_kwargs:
  default: {{pre_prompt: "", post_prompt: "\\nAnswer the question using a single word or phrase."}}
"""
UTILS_PEER = """\
from lmms_eval.tasks.mme.utils import (
    mme_aggregate_results,
    mme_doc_to_text,
    mme_doc_to_visual,
    mme_process_results,
)
"""
LONG_MODEL = '''\
"""A model in memory whose answers are long, and all different."""

import itertools

import pytest

from pytest_lmms.records import Response

TAIL = "and so on " * {num_tails}


class LongWinded:
    identity = {{"adapter": "LongWinded"}}

    def __init__(self):
        self.numbers = itertools.count()

    def generate(self, requests):
        return [Response(text=f"Yes. {{next(self.numbers)}} {{TAIL}}") for _ in requests]


@pytest.fixture(scope="session")
def lmms_model():
    return LongWinded()
'''


# --- one run ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One command to measure."""

    name: str
    command: Sequence[str]
    num_documents: int = 0
    """Records that it must have written; 0 for a command that runs no document."""
    exit_codes: Sequence[int] = (0,)
    env: Mapping[str, str] = field(default_factory=dict)
    warms_up: bool = False
    """Whether it is run once before anything is counted: data sets are converted, modules compiled."""


@dataclass
class Run:
    """What one run of a command took."""

    wall_seconds: float
    cpu_seconds: float
    """User and system time of the process and of every child that it waited for."""
    peak_mib: float
    """Largest resident size of any one process."""
    peak_first_mib: float
    """Of the process that the command started: under `-n`, the controller."""
    peak_sum_mib: float
    """Largest sum over all processes at one moment; pages that they share count more than once."""
    problem: str | None = None


class Memory(threading.Thread):
    """Watches the resident size of a process and its descendants, through /proc."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.peaks: dict[int, float] = {}
        self.peak_sum = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        """Look again and again until told to stop."""
        while not self.ended.wait(POLL_SECONDS):
            now = 0.0
            for pid in _family(self.pid):
                peak, size = _sizes(pid)
                self.peaks[pid] = max(peak, self.peaks.get(pid, 0.0))
                now += size
            self.peak_sum = max(self.peak_sum, now)


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            threads = list(Path(f"/proc/{parent}/task").iterdir())
            found += [int(c) for t in threads for c in (t / "children").read_text().split()]
        except OSError:  # it has just ended
            continue
    return found


def _sizes(pid: int) -> tuple[float, float]:
    """Largest and present resident size in MiB; 0 of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    values = dict(line.split(":", 1) for line in lines if line.startswith(("VmHWM:", "VmRSS:")))
    return tuple(int(values.get(k, "0 kB").split()[0]) / MIB for k in ("VmHWM", "VmRSS"))  # type: ignore[return-value]


def measure(case: Case, folder: Path) -> Run:
    """Run a command in an empty folder and measure it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    env = {**os.environ, **case.env, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    for name in ("PYTEST_ADDOPTS", "PYTHONDONTWRITEBYTECODE"):  # a user's second run finds compiled modules
        env.pop(name, None)
    command = [part.replace("{out}", str(folder / "out")) for part in case.command]
    with (folder / "log.txt").open("wb") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        memory = Memory(process.pid)
        memory.start()
        timer = threading.Timer(LIMIT_SECONDS, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        timer.cancel()
        memory.ended.set()
        memory.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    problem = None
    if process.returncode not in case.exit_codes:
        last = (folder / "log.txt").read_text(errors="replace").strip().splitlines()[-1:]
        problem = f"exit code {process.returncode}: {''.join(last)[:200]}"
    elif case.num_documents and (found := _count_records(folder / "out")) != case.num_documents:
        problem = f"{found} records instead of {case.num_documents}"
    peaks = memory.peaks or {process.pid: 0.0}
    return Run(
        wall,
        usage.ru_utime + usage.ru_stime,
        max(peaks.values()),
        peaks.get(process.pid, 0.0),
        memory.peak_sum,
        problem,
    )


def _count_records(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*samples*.jsonl"):
        with path.open("rb") as file:
            total += sum(1 for _ in file)
    return total


def measure_all(
    cases: Sequence[Case], measured: Mapping[str, list[Run]], folder: Path, repeats: int, keep: Callable[[], None]
) -> None:
    """Fill caches with one uncounted run of what needs them, then run all commands in turn, `repeats` times.

    Args:
        cases: What to run.
        measured: Filled: name of a command to its runs.
        folder: To run in; emptied each time.
        repeats: How often.
        keep: Called after each run that counts.
    """
    for number in range(repeats + 1):
        for case in cases if number else [c for c in cases if c.warms_up]:
            run = measure(case, folder)
            what = f"{number}/{repeats}" if number else "warm-up"
            print(f"[{what}] {case.name}: {run.wall_seconds:.2f} s {run.problem or ''}", file=sys.stderr, flush=True)
            if number:
                measured[case.name].append(run)
                keep()


# --- what is run --------------------------------------------------------------------------------------------------


def write_rows(path: Path, num_rows: int) -> None:
    """Write MME-like rows: pairs of yes/no questions about one small picture, a pair sharing its question_id."""
    import datasets
    from PIL import Image

    rng = random.Random(num_rows)
    pictures = []
    for _ in range(NUM_IMAGES):
        noise = Image.frombytes("RGB", (16, 12), rng.randbytes(16 * 12 * 3))
        buffer = io.BytesIO()
        noise.resize((64, 48), Image.Resampling.NEAREST).save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    pairs = [(i // 2, i % 2) for i in range(num_rows)]
    columns = {
        "question_id": [f"{CATEGORIES[p % len(CATEGORIES)]}/{p:06}.png" for p, _ in pairs],
        "image": [{"bytes": pictures[p % NUM_IMAGES], "path": f"{p:06}.png"} for p, _ in pairs],
        "question": [
            f"Is there a {'square' if which else 'circle'} left of number {p}? Please answer yes or no."
            for p, which in pairs
        ],
        "answer": ["No" if which else "Yes" for _, which in pairs],
        "category": [CATEGORIES[p % len(CATEGORIES)] for p, _ in pairs],
    }
    text = datasets.Value("string")
    features = datasets.Features({k: datasets.Image() if k == "image" else text for k in columns})
    temporary = path.with_suffix(".tmp")
    datasets.Dataset.from_dict(columns, features=features).to_parquet(temporary)
    temporary.replace(path)


def prepare(cache: Path, sizes: Sequence[int]) -> None:
    """Make rows and task folders, those that are not there yet. In a process of its own: it needs memory."""
    for size in sizes:
        rows = cache / f"mme_{size}.parquet"
        if not rows.is_file():
            write_rows(rows, size)
        for kind in ("ours", "peer"):
            folder = cache / f"{kind}_{size}"
            folder.mkdir(exist_ok=True)
            values = {"name": f"mme_{size}", "rows": rows, "shipped": ROOT / "benchmarks/mme/mme.yaml"}
            template = TASK_OURS if kind == "ours" else TASK_PEER
            (folder / f"mme_{size}.yaml").write_text(template.format(**values))
            (folder / ("pytest.ini" if kind == "ours" else "utils.py")).write_text(
                "[pytest]\n" if kind == "ours" else UTILS_PEER
            )
    if NUM_LONG in sizes:
        (cache / f"ours_{NUM_LONG}" / "conftest.py").write_text(LONG_MODEL.format(num_tails=LONG_CHARS // 10))


def find_peer(given: Path | None, cache: Path) -> tuple[Path | None, str]:
    """A Python that has lmms-eval, and what to say about it."""
    python = given or cache / "peer" / "bin" / "python"
    if given is None and not python.is_file():
        print(f"making an environment with {PEER} {PEER_VERSION}; this takes some minutes, once", file=sys.stderr)
        try:
            venv.create(cache / "peer.new", with_pip=True, clear=True)
            pip = [str(cache / "peer.new/bin/python"), "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, f"torch=={PEER_TORCH}"], check=True)
            subprocess.run([*pip, "--no-deps", f"lmms-eval=={PEER_VERSION}"], check=True)
            subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
            (cache / "peer.new").rename(cache / "peer")
        except (subprocess.CalledProcessError, OSError) as e:
            return None, f"{PEER} is not in this table: its environment could not be made ({e})"
    ask = "from importlib.metadata import version; import torch; print(version('lmms-eval'))"
    try:
        found = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    except (subprocess.CalledProcessError, OSError) as e:
        return None, f"{PEER} is not in this table: {python} cannot run it ({e})"
    return python, f"{PEER} {found}"


def document_cases(cache: Path, size: int, peer: Path | None) -> list[Case]:
    """The commands that run documents: theirs, ours in process, ours under two workers."""
    hub = {"HF_HOME": str(cache / "hub")}
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ours = [*pytest, "-p", "no:hypothesispytest", str(cache / f"ours_{size}"), "--lmms-output-path", "{out}",
            "--lmms-batch-size", "16"]  # fmt: skip
    if size == NUM_LONG:
        return [
            Case("long in process", ours, size, env=hub, warms_up=True),
            Case("long -n 2", [*ours, "-n", "2"], size, env=hub),
        ]
    dummy = ["--lmms-model", "dummy", "--lmms-model-args", "response=Yes"]
    cases = [
        Case(f"ours {size}", [*ours, *dummy], size, env=hub, warms_up=True),
        Case(f"ours -n 2 {size}", [*ours, *dummy, "-n", "2"], size, env=hub),
    ]
    if peer is not None:
        theirs = [str(peer), "-m", "lmms_eval", "--model", "dummy", "--model_args", "response=Yes", "--tasks",
                  f"mme_{size}", "--include_path", str(cache / f"peer_{size}"), "--batch_size", "1", "--output_path",
                  "{out}", "--log_samples"]  # fmt: skip
        env = {"HF_HOME": str(cache / "hub_peer")}
        cases.insert(0, Case(f"{PEER} {size}", theirs, size, env=env, warms_up=True))
    return cases


def start_cases(cache: Path) -> list[Case]:
    """The commands that start, tell something, and end; each with and without the plugin."""
    hub = {"HF_HOME": str(cache / "hub")}
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    lean = [*pytest, "-p", "no:hypothesispytest"]
    off = ["-p", "no:pytest_lmms.plugin"]
    rows, dummy = str(cache / f"ours_{SMALL}"), ["--lmms-model", "dummy"]
    shipped = str(ROOT / "benchmarks/mme")
    collect = [*lean, "--collect-only", "-q"]
    return [
        Case("--help, plugin off", [*lean, "--help", *off], env=hub),
        Case("--help", [*lean, "--help"], env=hub),
        Case("--help, plugin off, hypothesis on", [*pytest, "--help", *off], env=hub),
        Case("--help, hypothesis on", [*pytest, "--help"], env=hub),
        Case("--collect-only, plugin off", [*collect, rows, *off], exit_codes=(5,), env=hub),
        Case("--collect-only miniature", [*collect, shipped, *dummy, "--lmms-data", "mini"], env=hub),
        Case(f"--collect-only {SMALL}", [*collect, rows, *dummy], env=hub),
    ]


# --- the table ----------------------------------------------------------------------------------------------------


Measured = Mapping[str, Sequence[Run]]
Row = tuple[str, ...]


def middle(measured: Measured, name: str, figure: str) -> float | None:
    """Median of one figure over the runs of a command that went well; None without any."""
    values = [getattr(run, figure) for run in measured.get(name, ()) if run.problem is None]
    return statistics.median(values) if values else None


def rows_of_runs(measured: Measured) -> list[Row]:
    """Every command with its medians."""
    rows: list[Row] = [
        ("command", "runs", "wall s", "min to max", "CPU s", "peak MiB: one process", "first", "all together")
    ]
    for name, runs in measured.items():
        good = [r for r in runs if r.problem is None]
        if not good:
            rows.append((name, f"0/{len(runs)}", runs[0].problem or "", "", "", "", "", ""))
            continue
        walls = [r.wall_seconds for r in good]
        figures = [middle(measured, name, f) for f in ("cpu_seconds", "peak_mib", "peak_first_mib", "peak_sum_mib")]
        count = f"{len(good)}" if len(good) == len(runs) else f"{len(good)}/{len(runs)}"
        rows.append(
            (name, count, f"{statistics.median(walls):.2f}", f"{min(walls):.2f} to {max(walls):.2f}",
             f"{figures[0]:.2f}", *(f"{f:.0f}" for f in figures[1:]))
        )  # fmt: skip
    return rows


def rows_of_answers(measured: Measured) -> list[Row]:
    """The questions that the measurements answer; "wanted" is what the project set out to reach."""
    rows: list[Row] = [("question", "wall", "CPU", "wanted")]

    def add(question: str, wanted: str, unit: str, compute: Callable[[str], float | None]) -> None:
        texts = ["-" if v is None else f"{v:.2f}{unit}" for v in (compute("wall_seconds"), compute("cpu_seconds"))]
        rows.append((question, *texts, wanted))

    def ratio(a: str, b: str) -> Callable[[str], float | None]:
        def compute(figure: str) -> float | None:
            x, y = middle(measured, a, figure), middle(measured, b, figure)
            return x / y if x is not None and y else None

        return compute

    def difference(a: str, b: str, factor: float = 1.0) -> Callable[[str], float | None]:
        def compute(figure: str) -> float | None:
            x, y = middle(measured, a, figure), middle(measured, b, figure)
            return (x - y) * factor if x is not None and y is not None else None

        return compute

    for kind in ("ours", "ours -n 2"):
        for size, wanted in ((SMALL, "3"), (LARGE, "1.5")):
            if f"{kind} {size}" in measured:
                aim = f"at least {wanted}" if kind == "ours" else ""
                add(f"{kind}, {size} documents: times faster than {PEER}", aim, "",
                    ratio(f"{PEER} {size}", f"{kind} {size}"))  # fmt: skip
    if f"ours {LARGE}" in measured:
        for kind, wanted in (("ours", "at most 0.25"), ("ours -n 2", "at most 0.5"), (PEER, "")):
            add(f"{kind}: ms a document beyond start-up", wanted, "",
                difference(f"{kind} {LARGE}", f"{kind} {SMALL}", 1000 / (LARGE - SMALL)))  # fmt: skip
    help_off, collect_off = "--help, plugin off", "--collect-only, plugin off"
    if help_off in measured:
        add("--help: s that the plugin adds", "below 1", "", difference("--help", help_off))
    for what in ("miniature", str(SMALL)) if collect_off in measured else ():
        add(f"--collect-only {what}: s that the plugin adds", "below 1", "",
            difference(f"--collect-only {what}", collect_off))  # fmt: skip
    for size in (SMALL, LARGE):
        theirs, ours = (middle(measured, f"{k} {size}", "peak_mib") for k in (PEER, "ours"))
        if theirs is not None and ours is not None:
            rows.append((f"peak memory, {size} documents: ours / {PEER}", f"{ours / theirs:.2f}", "", "below 1"))
    for kind in ("long in process", "long -n 2"):
        if (size_mib := middle(measured, kind, "peak_first_mib")) is not None:
            wanted = "below 150" if kind == "long -n 2" else ""
            rows.append((f"{NUM_LONG} records of {LONG_CHARS // 1000} KB, {kind[5:]}: MiB of the first process",
                         f"{size_mib:.0f}", "", wanted))  # fmt: skip
    return rows


def show(rows: Sequence[Row], *, markdown: bool) -> str:
    """A table as text or as markdown."""
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + " --- |" * len(rows[0]))
        return "\n".join(lines)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure what the harness itself costs, beside lmms-eval.")
    parser.add_argument("--quick", action="store_true", help=f"{SMALL} documents only, one repeat, no long records")
    parser.add_argument("--repeats", type=int, default=3, help="runs of every command (default 3)")
    parser.add_argument("--cache", type=Path, default=ROOT / ".bench", help="rows and environments, kept (.bench)")
    parser.add_argument("--peer-python", type=Path, help=f"a Python that has {PEER}; made in the cache otherwise")
    parser.add_argument("--no-peer", action="store_true", help=f"leave {PEER} out")
    parser.add_argument("--only", metavar="TEXT", help="only commands whose name in the table contains this text")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write every run's figures, after every run")
    parser.add_argument("--markdown", action="store_true", help="print markdown tables")
    parser.add_argument("--prepare", nargs="+", type=int, help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Measure and print."""
    options = arguments().parse_args()
    cache: Path = options.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    if options.prepare:
        prepare(cache, options.prepare)
        return
    sizes = [SMALL] if options.quick else [SMALL, LARGE, NUM_LONG]
    me = [sys.executable, str(Path(__file__).resolve()), "--cache", str(cache), "--prepare", *map(str, sizes)]
    subprocess.run(me, check=True)
    peer, about = (None, f"without {PEER}") if options.no_peer else find_peer(options.peer_python, cache)
    cases = [*start_cases(cache), *(case for size in sizes for case in document_cases(cache, size, peer))]
    cases = [case for case in cases if (options.only or "") in case.name]
    repeats = 1 if options.quick else options.repeats
    measured: dict[str, list[Run]] = {case.name: [] for case in cases}
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"

    def keep() -> None:
        if options.json:
            runs: dict[str, Any] = {name: [asdict(r) for r in found] for name, found in measured.items()}
            options.json.write_text(json.dumps({"about": about, "machine": machine, "runs": runs}, indent=1) + "\n")

    try:
        measure_all(cases, measured, cache / "work", repeats, keep)
    except KeyboardInterrupt:
        print("stopped; what there is:", file=sys.stderr)
    measured = {name: runs for name, runs in measured.items() if runs}
    machine += f", load {os.getloadavg()[1]:.1f}"
    print(f"{about}; {machine}; median of {max(map(len, measured.values()), default=0)}\n")
    print(show(rows_of_runs(measured), markdown=options.markdown), end="\n\n")
    print(show(rows_of_answers(measured), markdown=options.markdown))
    shutil.rmtree(cache / "work", ignore_errors=True)


if __name__ == "__main__":
    main()
