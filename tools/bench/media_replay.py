"""Eight questions about long videos, four frames each, asked over HTTP: the reader changed, all else the same.

    python tools/bench/media_replay.py --peer-python PYTHON     # a Python that has lmms-eval 0.7.3

A replay of what lmms-eval's 0.7 release notes measured (section 5.2: longvideobench_val_v, limit 8, max_frames_num 4,
max_image_size 512) on videos made here and a model on the loopback that tells the colour of what it is shown. Each
side reads frames with its own reader, shrinks them, encodes them as JPEG and asks; printed are the time in the reader,
the time of all eight, the scores and the predictions that agree. The pipeline around the reader is the same code.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import http.server
import io
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

COLOURS = {"A": (220, 40, 40), "B": (40, 190, 60), "C": (50, 70, 220), "D": (230, 200, 50), "E": (200, 60, 200)}
SECONDS = (30, 30, 45, 45, 60, 60, 90, 120)
NUM_FRAMES, MAX_SIDE_PX = 4, 512


def make_videos(folder: Path) -> list[dict[str, str]]:
    """Make eight videos, once, and a question about each; half of the right answers are what a good model says."""
    documents = []
    for number, seconds in enumerate(SECONDS):
        letter = "ABCDE"[number % 5]
        path = folder / f"replay_{number}.mp4"
        colour = "0x" + "".join(f"{v:02x}" for v in COLOURS[letter])
        if not path.exists():
            source = f"color=c={colour}:size=640x360:rate=30:duration={seconds},noise=alls=4:allf=t"
            unfinished = path.with_name("unfinished_" + path.name)
            encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-pix_fmt", "yuv420p"]
            ffmpeg = [shutil.which("ffmpeg") or "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source]
            subprocess.run([*ffmpeg, *encoder, str(unfinished)], check=True)
            unfinished.rename(path)
        documents.append({"path": str(path), "answer": letter if number % 2 else "ABCDE"[(number + 1) % 5]})
    return documents


class Model(http.server.BaseHTTPRequestHandler):
    """Says which colour is nearest to the mean of the pictures it gets."""

    def do_POST(self) -> None:
        """Answer one question."""
        import numpy as np
        import PIL.Image

        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        pictures = [PIL.Image.open(io.BytesIO(base64.b64decode(text))) for text in body["images"]]
        mean = np.mean([np.asarray(p).mean(axis=(0, 1)) for p in pictures], axis=0)
        letter = min(COLOURS, key=lambda c: float(np.abs(mean - COLOURS[c]).sum()))
        data = json.dumps({"text": letter, "pictures": len(pictures), "size": pictures[0].size}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def side(name: str, port: int, documents: list[dict[str, str]]) -> None:
    """Read, shrink, encode, ask; print times and answers as JSON."""
    import PIL.Image
    from media_reader import lmms_eval, ours

    read = (ours if name == "ours" else lmms_eval)()
    in_reader = 0.0
    answers = []
    start = time.perf_counter()
    for document in documents:
        begin = time.perf_counter()
        order = {"path": document["path"], "num_frames": NUM_FRAMES, "fps": None, "backend": "pyav"}
        frames = read(order)
        in_reader += time.perf_counter() - begin
        images = []
        for frame in frames:
            picture = PIL.Image.fromarray(frame)
            picture.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG")
            images.append(base64.b64encode(buffer.getvalue()).decode())
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/", json.dumps({"images": images}))
        answers.append(json.loads(connection.getresponse().read()))
        connection.close()
    print(json.dumps({"reader": in_reader, "all": time.perf_counter() - start, "answers": answers}))


def main() -> None:
    """Replay, in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "pytest-lmms-bench-media")
    parser.add_argument("--peer-python", help="a Python that has lmms-eval")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    documents = make_videos(given.folder)
    if given.side:
        side(given.side[0], int(given.side[1]), documents)
        return
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pythons = {"lmms-eval": given.peer_python, "ours": sys.executable}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name, python in pythons.items() if python}
    for _ in range(given.rounds):
        for name, runs in found.items():
            command = [pythons[name], __file__, "--folder", str(given.folder), "--side", name, str(server.server_port)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs.append(json.loads(done.stdout.splitlines()[-1]))
    server.shutdown()
    print("| Side | in the reader, s | all, s | score |\n| --- | ---: | ---: | ---: |")
    for name, runs in found.items():
        right = sum(a["text"] == d["answer"] for a, d in zip(runs[0]["answers"], documents, strict=True))
        best = [min(run[key] for run in runs) for key in ("reader", "all")]
        print(f"| {name} | {best[0]:.2f} | {best[1]:.2f} | {right / len(documents)} |")
    if len(found) == 2:
        theirs, us = found["lmms-eval"], found["ours"]
        agree = sum(a == b for a, b in zip(theirs[0]["answers"], us[0]["answers"], strict=True))
        ratios = [min(r[key] for r in theirs) / min(r[key] for r in us) for key in ("reader", "all")]
        print(f"\n{agree} of {len(documents)} predictions agree; reader {ratios[0]:.1f} x, pipeline {ratios[1]:.1f} x")


if __name__ == "__main__":
    main()
