"""LongVideoBench as images: frames, with the subtitles that belong to them between their places in the text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pytest_lmms.media.video import open_video
from pytest_lmms.records import MediaRef
from pytest_lmms.scoring.choices import label_options
from pytest_lmms.tasks.mediafiles import find_media

Doc = Mapping[str, Any]
FOLDER = "longvideobench"
MAX_FRAMES = 16
MIN_SPAN_SECONDS = 1.0
PLACE = "<image>"


def longvideobench_doc_to_frames(doc: Doc) -> list[Image.Image]:
    """Return up to 16 frames, evenly from the first to the last."""
    path = find_media(FOLDER, f"videos/{doc['video_path']}", beside=__file__)
    count = max(1, min(MAX_FRAMES, int(doc["duration"])))
    video = open_video(MediaRef(kind="video", path=path), num_frames=count)
    return [Image.fromarray(frame) for frame in video.frames]


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def _spans(subtitles: Sequence[Doc], start_seconds: float, duration: float) -> Iterator[tuple[float, float, str]]:
    """Start, end and text of each subtitle, in seconds; an end without a fraction is the video's length."""
    for subtitle in subtitles:
        if "timestamp" in subtitle:
            start, end = subtitle["timestamp"]
            text = subtitle["text"]
        else:
            start, end, text = _seconds(subtitle["start"]), _seconds(subtitle["end"]), subtitle["line"]
        end = end if isinstance(end, float) else duration
        yield start - start_seconds, end - start_seconds, text


def interleave(times: Sequence[float], spans: Iterator[tuple[float, float, str]]) -> list[str]:
    """Return places of frames and texts in order.

    A frame comes before the first subtitle whose middle is not earlier; a subtitle without any frame within it is
    left out, one shorter than a second counting as a second long.
    """
    lines: list[str] = []
    num_placed = 0
    for start, end, text in spans:
        middle = (start + end) / 2
        num_due = sum(time <= middle for time in times)
        lines += [PLACE] * (num_due - num_placed)
        num_placed = max(num_placed, num_due)
        if end - start < MIN_SPAN_SECONDS:
            start, end = middle - MIN_SPAN_SECONDS / 2, middle + MIN_SPAN_SECONDS / 2
        if any(start < time < end for time in times):
            lines.append(text)
    return lines + [PLACE] * (len(times) - num_placed)


def longvideobench_doc_to_interleaved_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return frames' places and subtitles, question, options and instruction."""
    kwargs = kwargs or {}
    duration = float(doc["duration"])
    count = max(1, min(MAX_FRAMES, int(duration)))
    times = [duration / MAX_FRAMES * i if duration > MAX_FRAMES else float(i) for i in range(count)]
    path = find_media(FOLDER, f"subtitles/{doc['subtitle_path']}", beside=__file__)
    subtitles = json.loads(Path(path).read_text(encoding="utf-8"))
    shown = interleave(times, _spans(subtitles, float(doc["starting_timestamp_for_subtitles"]), duration))
    options = label_options(o for i in range(5) if (o := doc.get(f"option{i}", "N/A")) != "N/A")
    lines = [*shown, doc["question"], *(f"{letter}. {option}" for letter, option in options.items())]
    text = "\n".join([*lines, kwargs.get("post_prompt", "")])
    return f"{kwargs.get('pre_prompt', '')}{text}"
