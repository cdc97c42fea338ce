"""What `media.py` measures: files that FFmpeg makes, samplings, numbers of threads, and which of them go together."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

Cell = tuple[str, str, tuple[int, ...]]
"""A file, a sampling, numbers of threads."""

H264 = ("-c:v", "libx264", "-preset", "veryfast")
ENCODERS: dict[str, tuple[str, tuple[str, ...]]] = {
    # codec: extension, encoder
    "h264": ("mp4", H264),
    "hevc": ("mp4", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error")),
    "vp9": ("webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1")),
    "av1": ("mp4", ("-c:v", "libsvtav1", "-preset", "12")),
}
SIZES = {"360p": "640x360", "720p": "1280x720", "1080p": "1920x1080"}
LENGTHS = {"short": 10, "minute": 60}
"""Seconds, at 30 frames a second."""
GROUP = 156
"""Frames from one key frame to the next, where nothing else is said."""
FILES: dict[str, tuple[str, int, int, tuple[str, ...]]] = {
    # name: size, seconds, frames from one key frame to the next, encoder
    **{
        f"{length}_{height}_{codec}.{extension}": (size, seconds, GROUP, encoder)
        for codec, (extension, encoder) in ENCODERS.items()
        for length, seconds in LENGTHS.items()
        for height, size in SIZES.items()
    },
    "long_360p_h264.mp4": (SIZES["360p"], 600, GROUP, H264),
    "long_360p_h264_few_keys.mp4": (SIZES["360p"], 120, 3600, H264),
    "long_720p_h264.mp4": (SIZES["720p"], 120, 250, H264),
    "minute_1080p_h264_many_keys.mp4": (SIZES["1080p"], 60, 12, H264),
}
SAMPLINGS: dict[str, tuple[int, float | None]] = {
    "8 frames": (8, None),
    "16 frames": (16, None),
    "32 frames": (32, None),
    "fps=1": (4096, 1.0),
    "fps=30": (4096, 30.0),
}
THREADS = (0, 1, 2, 4, 8, 16)
MAX_DENSE_BYTES = 3 << 30
"""`fps=30` is left out for files with more: their frames would not fit into memory, where readers hold them twice."""
DENSE = tuple(f"{length}_360p_{codec}.{ENCODERS[codec][0]}" for codec in ENCODERS for length in LENGTHS)
FEW_KEYS, TEN_MINUTES = "long_360p_h264_few_keys.mp4", "long_360p_h264.mp4"
CHOSEN: tuple[Cell, ...] = (
    # every codec, height, sampling and number of threads at least once, in minutes: the table of docs/videos.md
    *((name, "8 frames", THREADS) for name in ("short_360p_h264.mp4", TEN_MINUTES)),
    *((name, s, (8,)) for name in ("short_360p_h264.mp4", TEN_MINUTES) for s in SAMPLINGS if s != "8 frames"),
    *((FEW_KEYS, sampling, (8,)) for sampling in SAMPLINGS),
    *((name, "8 frames", (8,)) for name in ("long_720p_h264.mp4", "minute_1080p_h264_many_keys.mp4")),
    *((f"short_360p_{codec}.{ENCODERS[codec][0]}", "8 frames", (8,)) for codec in ("hevc", "vp9", "av1")),
)
EVERY_FILE: tuple[Cell, ...] = (
    # every file, sampling and number of threads at least once; threads are swept on one short and one long file
    ("short_360p_h264.mp4", "8 frames", THREADS),
    ("long_360p_h264.mp4", "8 frames", THREADS),
    *((name, "8 frames", (8,)) for name in FILES if name not in ("short_360p_h264.mp4", "long_360p_h264.mp4")),
    *((name, s, (8,)) for s in ("16 frames", "32 frames", "fps=1") for name in FILES if "360p_h264" in name),
    *((name, "fps=30", (8,)) for name in (*DENSE, "short_720p_h264.mp4", "short_1080p_h264.mp4")),
)
QUICK: tuple[Cell, ...] = tuple(
    (name, sampling, (8,))
    for name in ("short_360p_h264.mp4", "long_360p_h264.mp4")
    for sampling in ("8 frames", "32 frames", "fps=30")
)


def cells(*, quick: bool, everything: bool, more: bool = False, only: Sequence[str] = ()) -> list[Cell]:
    """What is measured.

    Args:
        quick: Two files.
        more: Every file.
        everything: Each file with each sampling and number of threads.
        only: Pieces of it: a file, or `file:sampling`. One that is not among the chosen is taken from everything.
    """
    whole = [(name, sampling, THREADS) for name in FILES for sampling in SAMPLINGS]
    chosen = list(QUICK if quick else whole if everything else EVERY_FILE if more else CHOSEN)
    for piece in only:
        if not any(is_in(cell, piece) for cell in chosen):
            chosen += [(name, sampling, (8,)) for name, sampling, _ in whole if is_in((name, sampling, ()), piece)]
    return [c for c in chosen if fits(c) and (not only or any(is_in(c, piece) for piece in only))]


def is_in(cell: Cell, piece: str) -> bool:
    """Whether a cell belongs to a piece."""
    return piece in (cell[0], f"{cell[0]}:{cell[1]}")


def fits(cell: Cell) -> bool:
    """Whether the frames of a cell fit into memory."""
    size, seconds, _, _ = FILES[cell[0]]
    width, height = map(int, size.split("x"))
    num_frames = min(seconds * 30, SAMPLINGS["fps=30"][0])
    return cell[1] != "fps=30" or num_frames * width * height * 3 <= MAX_DENSE_BYTES


def title_of(cell: Cell) -> str:
    """Names a group of the table."""
    size, seconds, group, _ = FILES[cell[0]]
    return f"{cell[0]} ({size}, {seconds} s, a key frame every {group}): {cell[1]}"


def label_of(cell: Cell) -> str:
    """A group in the last table: file, and frames."""
    size, seconds, group, _ = FILES[cell[0]]
    codec = next(codec for codec in ENCODERS if f"_{codec}" in cell[0])
    shown = "" if codec == "h264" else f"{codec.upper()} "
    return f"{shown}{size.partition('x')[2]}p, {seconds} s, {group} | {cell[1]}"


def make_file(folder: Path, name: str) -> Path | None:
    """Make a video, once; None where FFmpeg lacks the encoder."""
    path = folder / name
    if path.exists():
        return path
    size, seconds, group, encoder = FILES[name]
    source = f"testsrc2=size={size}:rate=30:duration={seconds}"
    unfinished = folder / f"unfinished_{name}"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, *encoder, "-g", str(group),
               "-pix_fmt", "yuv420p", str(unfinished)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name} is left out: {done.stderr.strip().splitlines()[-1] if done.stderr else 'FFmpeg failed'}")
        return None
    return unfinished.rename(path)
