"""Write the miniatures of benchmarks: a few made-up rows a task, their pictures drawn here.

    python tools/miniatures/make.py [BENCHMARK ...]

Rows come from the made-up documents of `tests/parity/data/NAME.jsonl`, or from `rows/NAME.jsonl` beside this file;
`sources.txt` says which task gets which. In a row ``{"$image": [width, height, seed]}`` stands for a picture,
``{"$base64": [width, height, seed]}`` for one as base64 text, ``{"$file": [path, width, height, seed]}``
for a path whose file, beside the rows, has the path's name; keys ``$files`` and ``$clips`` name pictures and
videos that no column does. Every run writes the same files.
"""

from __future__ import annotations

import base64
import io
import json
import random
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from video_audio_text import SCENES, write_clip

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MAX_ROWS, MIN_ROWS = 6, 4
SMALLEST_SIDE_PX = 24
COLORS = ["#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#f2c500", "#111111"]


def draw(width: int, height: int, seed: int) -> Image.Image:
    """Draw a few coloured shapes; a picture with a side below 24 pixels is drawn larger, in proportion."""
    scale = max(1, -(-SMALLEST_SIDE_PX // min(width, height)))
    width, height = width * scale, height * scale
    rng = random.Random(seed)
    image = Image.new("RGB", (width, height), rng.choice(["#ffffff", "#eeeeee", "#fff6e0", "#e0f0ff"]))
    pencil = ImageDraw.Draw(image)
    for _ in range(rng.randint(2, 4)):
        side = max(4, rng.randint(min(width, height) // 5, min(width, height) // 2))
        x, y = rng.randint(0, width - side), rng.randint(0, height - side)
        shape = rng.choice([pencil.rectangle, pencil.ellipse])
        shape((x, y, x + side - 1, y + side - 1), fill=rng.choice(COLORS))
    return image


def png(stand_in: list[int]) -> bytes:
    """The bytes of the picture that a stand-in means."""
    buffer = io.BytesIO()
    draw(*stand_in).quantize(16).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def materialise(value: Any, folder: Path) -> Any:
    """Replace stand-ins by pictures in a folder, or by base64 text."""
    if isinstance(value, list):
        return [materialise(v, folder) for v in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["$base64"]:
        return base64.b64encode(png(value["$base64"])).decode()
    if list(value) == ["$file"]:
        path, *picture = value["$file"]
        (folder / Path(path).name).write_bytes(png(picture))
        return path
    if list(value) == ["$image"]:
        name = "picture_{}x{}_{}.png".format(*value["$image"])
        (folder / name).write_bytes(png(value["$image"]))
        return {"$image": name}
    return {k: materialise(v, folder) for k, v in value.items()}


def rows_of(source: str) -> list[dict[str, Any]]:
    """The first rows of a source, each once, all with the same columns."""
    own = HERE / "rows" / f"{source}.jsonl"
    path = own if own.is_file() else ROOT / "tests" / "parity" / "data" / f"{source}.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    rows: list[dict[str, Any]] = []
    for row in (line.get("doc", line) for line in lines if "aggregated" not in line):
        if row not in rows:
            rows.append(row)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return [{c: row.get(c) for c in columns} for row in rows[:MAX_ROWS]]


def media_columns(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Image columns that are null in the first row or in another."""
    found = {k for row in rows for k, v in row.items() if isinstance(v, dict) and list(v) == ["$image"]}
    return {column: "image" for column in sorted(found) if any(row[column] is None for row in rows)}


def write(benchmark: str, task: str, source: str, hidden: list[str]) -> None:
    """Write one task's miniature."""
    folder = ROOT / "benchmarks" / benchmark / "miniature"
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows_of(source)
    if len(rows) < MIN_ROWS:
        raise SystemExit(f"{source}: {len(rows)} rows, at least {MIN_ROWS} are wanted")
    for path, *picture in (found for row in rows for found in row.pop("$files", [])):
        (folder / path).write_bytes(png(picture))
    for name in (found for row in rows for found in row.pop("$clips", [])):
        write_clip(folder / name, SCENES[len(name) % len(SCENES)])
    lines: list[Any] = [{"$features": nullable}] if (nullable := media_columns(rows)) else []
    renamed = dict(name.split("=") for name in hidden if "=" in name)
    shown = [{renamed.get(k, k): None if k in hidden else v for k, v in row.items()} for row in rows]
    lines += [materialise(row, folder) for row in shown]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / f"{task}.jsonl").write_text(text, encoding="utf-8")


def main(wanted: list[str]) -> None:
    """Write the miniatures of the benchmarks named, or of all."""
    for line in (HERE / "sources.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        benchmark, source, tasks = line.split(maxsplit=2)
        if wanted and benchmark not in wanted:
            continue
        for task in tasks.split():
            name, *hidden = task.split("!")
            write(benchmark, name, source, hidden)


if __name__ == "__main__":
    main(sys.argv[1:])
