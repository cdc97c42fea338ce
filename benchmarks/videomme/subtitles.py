"""Video-MME with subtitles: those that are shown while one of the sampled frames is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pytest_lmms.media.video import open_video
from pytest_lmms.records import MediaRef
from pytest_lmms.scoring.spans import contents
from pytest_lmms.tasks.mediafiles import MissingMediaError, find_media, with_extensions

Doc = Mapping[str, Any]
INSTRUCTION = (
    "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)
NONE_AVAILABLE = "No subtitles available"
TIMES = re.compile(r"(\d{1,9}):(\d{1,9}):(\d{1,9})[,.](\d{1,9})\s*-->\s*(\d{1,9}):(\d{1,9}):(\d{1,9})[,.](\d{1,9})")
SHOWN = re.compile('<font color="white" size=".72c">')
EVERY_FRAME = -1


class Subtitle(NamedTuple):
    """A text and when it is shown, in seconds."""

    start_seconds: float
    end_seconds: float
    text: str


def _seconds(hours: str, minutes: str, seconds: str, milliseconds: str) -> float:
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds) + int(milliseconds) / 1000


def read_srt(content: str) -> Iterator[Subtitle]:
    """Read the blocks of an SRT file; blocks without times are passed over."""
    for block in re.split(r"\n\s*\n", content.replace("\r\n", "\n").strip()):
        lines = block.split("\n")
        if len(lines) > 2 and (times := TIMES.search(lines[1])):
            numbers = times.groups()
            yield Subtitle(_seconds(*numbers[:4]), _seconds(*numbers[4:]), " ".join(lines[2:]))


def shown_text(subtitle: Subtitle) -> str | None:
    """Return what stands in white in the dataset's subtitles, None without it."""
    return next(iter(contents(subtitle.text, SHOWN, "</font>")), None)


def is_seen(subtitle: Subtitle, frames: Any, fps: float) -> bool:
    """Tell whether any of some frame numbers lies within a subtitle, the frame of its end not counted."""
    start, end = int(subtitle.start_seconds * fps), int(subtitle.end_seconds * fps)
    return bool(((frames >= start) & (frames < end)).any())


def _file(doc: Doc, folder: str, extensions: list[str]) -> str:
    names = [f"{folder}/{name}" for name in with_extensions(str(doc["videoID"]), extensions)]
    return find_media("videomme", names, beside=__file__)


def subtitles_of(doc: Doc, kwargs: Doc) -> str:
    """Return the texts of a video that go into the prompt, one a line."""
    try:
        path = _file(doc, "subtitle", ["srt"])
    except MissingMediaError:
        return NONE_AVAILABLE
    subtitles = list(read_srt(Path(path).read_text(encoding="utf-8")))
    if not kwargs.get("all_subtitles"):
        video = open_video(MediaRef(kind="video", path=_file(doc, "data", ["mp4", "MP4", "mkv"])), num_frames=1)
        count = kwargs.get("frame_num", 32)
        count = video.total if count == EVERY_FRAME else count
        frames = np.linspace(0, video.total - 1, count).astype(int)
        subtitles = [s for s in subtitles if is_seen(s, frames, video.fps or 1.0)]
    return "\n".join(text for s in subtitles if (text := shown_text(s)) is not None)


def videomme_doc_to_text_with_subtitles(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return subtitles, question and options."""
    kwargs = kwargs or {}
    options = "\n".join(map(str, doc["options"]))
    head = f"This video's subtitles are listed below: \n{subtitles_of(doc, kwargs)}\n"
    if kwargs.get("format") == "question_and_options":
        return f"{head}{kwargs['pre_prompt']}{doc['question']}\nOptions:\n{options}\n{kwargs['post_prompt']}"
    return f"{head}{INSTRUCTION}\n{doc['question']}\n{options}\nThe best answer is:"
