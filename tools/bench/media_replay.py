"""lmms-eval's longvideobench_val_v, run by both harnesses: limit 8, four frames a video, 512 pixels a side.

    python tools/bench/media_replay.py --peer-python PYTHON     # a Python that has lmms-eval 0.7.3

A replay of what lmms-eval's 0.7 release notes measured (section 5.2), on videos made here and a model on the loopback
that tells the colour of what it is shown. The task is the peer's own YAML and functions, whose rows are a local Parquet
file; both sides run those same files, each in its own environment. Printed are the score, the seconds in which a video
was being read, the processor time of these, the seconds from the first reading to the last answer, those of the whole
command, and how many of the eight predictions agree. On a busy machine only the processor time says something.
"""

from __future__ import annotations

import argparse
import base64
import http.server
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLOURS = {"A": (220, 40, 40), "B": (40, 190, 60), "C": (50, 70, 220), "D": (230, 200, 50), "E": (200, 60, 200)}
NAMES = ("red", "green", "blue", "yellow", "violet")
SECONDS = (30, 30, 45, 45, 60, 60, 90, 120)
NUM_FRAMES, MAX_SIDE_PX = 4, 512
FILE = "longvideobench_val_v.yaml"
TASK = "longvideobench_val_v_replay"  # a name of its own: lmms-eval takes its built-in task for one that has its name
CLOCK = '''
"""Notes when our reader was at work, as tools/bench/peer_replay_model.py does in the peer's."""
import os, time

from pytest_lmms.media import _pyav, video  # the peer's reader is imported as it starts, too

def timed(*args, _read=video.open_video, **kwargs):
    begin, cpu = time.perf_counter(), time.process_time()
    try:
        return _read(*args, **kwargs)
    finally:
        with open(os.environ["REPLAY_READER_SECONDS"], "a") as file:
            file.write(f"{begin} {time.perf_counter()} {cpu} {time.process_time()}\\n")

video.open_video = timed
'''


@dataclass(frozen=True)
class Run:
    """What one command did."""

    reader_seconds: float
    cpu_seconds: float
    """Of the process, while a video was being read."""
    pipeline_seconds: float
    command_seconds: float
    score: float
    predictions: tuple[str, ...]


def make_videos(folder: Path) -> list[dict[str, Any]]:
    """Make eight videos, once, and their rows; half of the targets are what a model that sees colours answers."""
    rows = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, seconds in enumerate(SECONDS):
        shown = number % 5
        path = folder / f"replay_{number}.mp4"
        colour = "0x" + "".join(f"{v:02x}" for v in COLOURS["ABCDE"[shown]])
        if not path.exists():
            source = f"color=c={colour}:size=640x360:rate=30:duration={seconds},noise=alls=4:allf=t"
            unfinished = path.with_name("unfinished_" + path.name)
            encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-pix_fmt", "yuv420p"]
            ffmpeg = [shutil.which("ffmpeg") or "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source]
            subprocess.run([*ffmpeg, *encoder, str(unfinished)], check=True)
            unfinished.rename(path)
        rows.append({
            "id": str(number), "video_id": str(number), "video_path": path.name, "duration": float(seconds),
            "question": "Which colour fills the video?", **{f"option{i}": name for i, name in enumerate(NAMES)},
            "correct_choice": shown if number % 2 else (shown + 1) % 5, "level": "L1-Perception",
            "question_category": "S2A", "duration_group": 60,
        })  # fmt: skip
    return rows


def package_folder(python: str) -> Path:
    """Find where an environment has lmms-eval."""
    where = "import importlib.util as u; print(u.find_spec('lmms_eval').submodule_search_locations[0])"
    found = subprocess.run([python, "-c", where], stdout=subprocess.PIPE, text=True, check=True)
    return Path(found.stdout.strip())


def write_task(folder: Path, peer: Path) -> Path:
    """Lay the peer's task out with local rows: its YAML but for the dataset, and its functions as they are."""
    import pyarrow as pa
    from pyarrow import parquet

    theirs = peer / "tasks" / "longvideobench"
    task = folder / "longvideobench"
    shutil.rmtree(task, ignore_errors=True)
    task.mkdir(parents=True)
    videos = folder / "home" / "videos"
    rows = task / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist(make_videos(videos)), rows)
    head = (
        f"dataset_path: parquet\ndataset_kwargs:\n  data_files:\n    validation: {rows}\n"
        f"  cache_dir: {videos.parent}\ntask: {TASK}\n"
    )
    text = (theirs / FILE).read_text(encoding="utf-8")
    text, changed = re.subn(r"\Adataset_path:.*?^task:.*?\n", lambda _: head, text, flags=re.DOTALL | re.MULTILINE)
    assert changed == 1, "the peer's YAML does not begin with its dataset"
    (task / FILE).write_text(text, encoding="utf-8")
    shutil.copy(theirs / "utils.py", task)
    return task


class Model(http.server.BaseHTTPRequestHandler):
    """A chat-completions server that answers with the option whose colour is nearest to what it is shown."""

    last_answer = 0.0
    """When it answered last, by the clock that the readers use."""

    def do_POST(self) -> None:
        """Answer one question."""
        import numpy as np
        import PIL.Image

        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = [part for message in body["messages"] for part in message["content"]]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        pictures = [PIL.Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]
        assert len(pictures) == NUM_FRAMES, len(pictures)
        assert all(max(picture.size) == MAX_SIDE_PX for picture in pictures)
        mean = np.mean([np.asarray(p.convert("RGB")).mean(axis=(0, 1)) for p in pictures], axis=0)
        letter = min(COLOURS, key=lambda c: float(np.abs(mean - COLOURS[c]).sum()))
        choice = {"index": 0, "message": {"role": "assistant", "content": letter}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        data = json.dumps({**answer, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        Model.last_answer = time.perf_counter()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def run(who: str, peer: tuple[str, Path], task: Path, url: str, work: Path) -> Run:
    """Run one side's command in a folder of its own."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    clock, output = work / "reader", work / "out"
    (work / "replay_clock.py").write_text(CLOCK, encoding="utf-8")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "PYTEST_", "LMMS_"))}
    env |= {"REPLAY_READER_SECONDS": str(clock), "HF_HUB_OFFLINE": "1", "NO_PROXY": "*", "HF_HOME": str(work / "hub")}
    env["PYTHONPATH"] = str(work)
    arguments = f"model=m,base_url={url}/v1,api_key=k,max_frames_num={NUM_FRAMES}"
    if who == "pytest-lmms":
        arguments += f",max_image_size={MAX_SIDE_PX},stream=False"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "replay_clock", str(task),
                   "--lmms-model", "openai", "--lmms-model-args", arguments, "--lmms-limit", "8",
                   "--lmms-video-backend", "pyav", "--lmms-output-path", str(output)]  # fmt: skip
    else:
        command = [peer[0], str(Path(__file__).with_name("peer_replay_model.py")), "--model", "replay",
                   "--force_simple", "--model_args", arguments, "--tasks", TASK, "--include_path", str(task),
                   "--limit", "8", "--batch_size", "1", "--log_samples", "--output_path", str(output)]  # fmt: skip
    begin = time.perf_counter()
    done = subprocess.run(
        command, check=False, cwd=work, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    seconds = time.perf_counter() - begin
    if not list(output.rglob("*results.json")):
        sys.exit(f"{who} left no results:\n{done.stdout[-3000:]}")
    readings = sorted(tuple(map(float, line.split())) for line in clock.read_text().splitlines())
    readings = [r for r in readings if r[0] < Model.last_answer]  # later ones make thumbnails of our report
    reading, computing = union_of([r[:2] for r in readings]), union_of(sorted(r[2:] for r in readings))
    return Run(reading, computing, Model.last_answer - readings[0][0], seconds, *outcome(output))


def union_of(readings: list[tuple[float, ...]]) -> float:
    """Return the seconds during which at least one video was being read."""
    total, until = 0.0, 0.0
    for begin, end in readings:
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def outcome(output: Path) -> tuple[float, tuple[str, ...]]:
    """Read the score and the answers, in the order of the documents, from either side's files."""
    results = json.loads(next(output.rglob("*results.json")).read_text(encoding="utf-8"))["results"][TASK]
    score = next(value for name, value in results.items() if name.startswith("lvb_acc") and "stderr" not in name)
    lines = next(output.rglob("*samples_*.jsonl")).read_text(encoding="utf-8").splitlines()
    answers = {}
    for line in map(json.loads, lines):
        said = line["filtered_resps"]
        answers[int(line["doc_id"])] = str(said[0] if isinstance(said, list) else said)
    return float(score), tuple(answers[key] for key in sorted(answers))


def main() -> None:
    """Replay, in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "pytest-lmms-bench-replay")
    parser.add_argument("--peer-python", type=os.path.abspath, required=True, help="a Python that has lmms-eval")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    packages = package_folder(given.peer_python)
    task = write_task(given.folder, packages)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    found: dict[str, list[Run]] = {"lmms-eval": [], "pytest-lmms": []}
    for _ in range(given.rounds):
        for who, runs in found.items():
            runs.append(run(who, (given.peer_python, packages), task, url, given.folder / "run"))
    server.shutdown()
    print("| Side | score | in the reader, s | processor then, s | first reading to last answer, s | command, s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    medians = {}
    for who, runs in found.items():
        medians[who] = [
            statistics.median(getattr(r, f"{name}_seconds") for r in runs)
            for name in ("reader", "cpu", "pipeline", "command")
        ]
        print(f"| {who} | {runs[0].score} | " + " | ".join(f"{seconds:.2f}" for seconds in medians[who]) + " |")
    theirs, ours = (runs[0].predictions for runs in found.values())
    agree = sum(a == b for a, b in zip(theirs, ours, strict=True))
    reader, cpu, pipeline, command = (a / b for a, b in zip(*medians.values(), strict=True))
    print(f"\n{agree} of {len(theirs)} predictions agree; ", end="")
    print(f"reader {reader:.1f} x, its processor time {cpu:.1f} x, pipeline {pipeline:.1f} x, command {command:.1f} x")
    print(f"scores of all runs: {sorted({r.score for runs in found.values() for r in runs})}")


if __name__ == "__main__":
    main()
