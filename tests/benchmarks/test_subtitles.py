"""Video-MME and LongVideoBench: which subtitles are shown, and where frames stand among them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pytest_lmms.catalog import import_file

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SRT = """\
1
00:00:01,000 --> 00:00:02,500
<font color="white" size=".72c">first</font>

2
00:00:02,500 --> 01:00:03,250
second
line

no times
"""


@pytest.fixture(scope="module")
def videomme() -> ModuleType:
    return import_file(BENCHMARKS / "videomme" / "subtitles.py")


@pytest.fixture(scope="module")
def longvideobench() -> ModuleType:
    return import_file(BENCHMARKS / "longvideobench" / "frames.py")


def test_an_srt_file_is_read_block_by_block(videomme: ModuleType) -> None:
    first, second = videomme.read_srt(SRT)
    assert (first.start_seconds, first.end_seconds) == (1, 2.5)
    assert (second.end_seconds, second.text) == (3603.25, "second line")


def test_only_white_text_is_shown(videomme: ModuleType) -> None:
    assert [videomme.shown_text(s) for s in videomme.read_srt(SRT)] == ["first", None]


@pytest.mark.parametrize(("frame", "is_seen"), [(9, False), (10, True), (24, True), (25, False)])
def test_a_subtitle_is_seen_from_its_first_frame_to_before_its_last(
    videomme: ModuleType,
    frame: int,
    is_seen: bool,  # noqa: FBT001
) -> None:
    first = next(iter(videomme.read_srt(SRT)))
    assert videomme.is_seen(first, np.array([frame]), 10.0) is is_seen


def test_frames_stand_before_the_subtitle_whose_middle_is_later(longvideobench: ModuleType) -> None:
    spans = [(0.0, 3.0, "early"), (3.1, 3.4, "short, no frame near"), (5.0, 9.0, "late")]
    lines = longvideobench.interleave([0.0, 1.0, 2.0, 6.0, 9.5], iter(spans))
    assert lines == ["<image>", "<image>", "early", "<image>", "<image>", "late", "<image>"]


def test_a_short_subtitle_counts_as_a_second_long(longvideobench: ModuleType) -> None:
    assert longvideobench.interleave([2.0], iter([(2.1, 2.3, "yes"), (2.6, 2.8, "no")])) == ["<image>", "yes"]


@pytest.mark.parametrize("end", [None, 12])
def test_a_subtitle_whose_end_has_no_fraction_lasts_as_long_as_the_video(
    longvideobench: ModuleType, end: object
) -> None:
    spans = longvideobench._spans([{"timestamp": [2.5, end], "text": "on"}], 2.0, 30.0)
    assert list(spans) == [(0.5, 28.0, "on")]
