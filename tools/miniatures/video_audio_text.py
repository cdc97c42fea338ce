"""Write the miniatures of the video, audio and text benchmarks: rows, clips and sounds of our own making.

    python tools/miniatures/video_audio_text.py [BENCHMARK...]

Clips are two seconds of a coloured square that moves across a grey ground (64 x 64 pixels, 8 frames a second, H.264);
sounds are beeps. Run twice, the rows and sounds are the same to the byte; clips are as far as the encoder is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import soundfile

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
Row = dict[str, Any]
SIZE_PX, FRAMES_PER_SECOND, NUM_FRAMES, SQUARE_PX = 64, 8, 16, 16
RATE_HZ = 16000


class Scene(NamedTuple):
    """A square of a colour that moves one way."""

    colour: str
    rgb: tuple[int, int, int]
    direction: str
    step: tuple[int, int]
    """Down and right, in pixels a frame."""

    @property
    def stem(self) -> str:
        """Name of its clip, without extension."""
        return f"{self.colour}_{self.direction}"


SCENES = (
    Scene("red", (220, 40, 40), "right", (0, 3)),
    Scene("blue", (40, 60, 220), "left", (0, -3)),
    Scene("green", (40, 170, 60), "up", (-3, 0)),
    Scene("yellow", (230, 210, 40), "down", (3, 0)),
)
COLOURS = [scene.colour for scene in SCENES]
DIRECTIONS = [scene.direction for scene in SCENES]


def frame_of(scene: Scene, number: int) -> np.ndarray:
    """One frame: (SIZE_PX, SIZE_PX, 3), uint8."""
    frame = np.full((SIZE_PX, SIZE_PX, 3), 128, np.uint8)
    travel = (SIZE_PX - SQUARE_PX) // 2
    top, left = (int(np.clip(travel + step * (number - NUM_FRAMES / 2), 0, SIZE_PX - SQUARE_PX)) for step in scene.step)
    frame[top : top + SQUARE_PX, left : left + SQUARE_PX] = scene.rgb
    return frame


def write_clip(path: Path, scene: Scene) -> None:
    """Encode a scene as H.264 in MP4, without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FRAMES_PER_SECOND), options={"crf": "28"})
        stream.width = stream.height = SIZE_PX
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for number in range(NUM_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_of(scene, number), format="rgb24")))
        container.mux(stream.encode())


def write_beeps(path: Path, count: int, pitch_hz: float = 440.0) -> None:
    """Write `count` beeps of 0.1 s, 0.1 s apart, as FLAC."""
    time = np.arange(RATE_HZ // 10) / RATE_HZ
    beep = 0.3 * np.sin(2 * np.pi * pitch_hz * time)
    soundfile.write(path, np.concatenate([beep, np.zeros_like(beep)] * count), RATE_HZ)


def clips(folder: Path) -> None:
    """Put every scene's clip into a folder."""
    for scene in SCENES:
        write_clip(folder / f"{scene.stem}.mp4", scene)


def beeps(folder: Path) -> None:
    """Put one to four beeps into a folder."""
    for count in range(1, 5):
        write_beeps(folder / f"beeps_{count}.flac", count, 330.0 + 110 * count)


def lettered(options: Iterable[str], form: str = "{letter}. {option}") -> list[str]:
    """Options with their letters before them."""
    return [form.format(letter=letter, option=option) for letter, option in zip("ABCDEFGH", options, strict=False)]


def asked(scene: Scene, number: int) -> tuple[str, list[str], int]:
    """Question, options and number of the right one: the colour for even numbers, the direction for odd ones."""
    if number % 2:
        return "In which direction does the square move?", DIRECTIONS, DIRECTIONS.index(scene.direction)
    return "Which colour is the moving square?", COLOURS, COLOURS.index(scene.colour)


NEITHER = "none of these"


def video_rows(make: Callable[[Scene, int, str, list[str], int], Row], *, num_options: int = 4) -> list[Row]:
    """Make a row of every scene from its question; a fifth option is never right."""
    rows = []
    for number, scene in enumerate(SCENES):
        question, options, right = asked(scene, number)
        options = [*options, NEITHER][:num_options]
        rows.append(make(scene, number, question, options, right))
    return rows


def videomme() -> dict[str, list[Row]]:
    """Four questions; all lengths, two of them long."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int, duration: str) -> Row:
        return {
            "video_id": f"{number + 1:03}",
            "duration": duration,
            "domain": "Knowledge",
            "sub_category": "Astronomy" if number % 2 else "Geography",
            "url": f"https://example.org/{scene.stem}",
            "videoID": scene.stem,
            "question_id": f"{number + 1:03}-1",
            "task_type": "Temporal Perception" if number % 2 else "Attribute Perception",
            "question": question,
            "options": lettered(f"{option}." for option in options),
            "answer": "ABCD"[right],
        }

    lengths = ("short", "medium", "long", "long")
    every = video_rows(lambda *a: row(*a, duration=lengths[a[1]]))
    long = video_rows(lambda *a: row(*a, duration="long"))
    return {
        "videomme": every,
        "videomme_w_subtitle": every,
        "videomme_long": long,
        "videomme_long_w_subtitle": long,
    }


MAKERS: dict[str, tuple[Callable[[], dict[str, list[Row]]], Callable[[Path], None] | None]] = {
    "videomme": (videomme, clips),
}
"""Benchmark -> its rows by task, and what puts media beside them."""


def main(names: list[str]) -> int:
    """Write the miniatures of some benchmarks, or of all."""
    for name in names or MAKERS:
        make_rows, make_media = MAKERS[name]
        folder = BENCHMARKS / name / "miniature"
        folder.mkdir(parents=True, exist_ok=True)
        if make_media:
            make_media(folder)
        for task, rows in make_rows().items():
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{task}.jsonl").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
