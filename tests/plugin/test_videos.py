"""Documents about videos: from a row of a miniature to the frames that a model opens."""

from __future__ import annotations

import os

import pytest

from tests.made_videos import make_video

LOOKING = """
import os
import pytest
from pytest_lmms.media import video
from pytest_lmms.testing import ScriptedModel

def look(request):
    (ref,) = request.media
    found = video.open_video(ref, num_frames=4)
    return f"{ref.kind} {len(found)} of {found.total} at {found.timestamps_seconds[-1]:.2f}"

@pytest.fixture(scope="session")
def lmms_model():
    video._cache_of.cache_clear()
    yield ScriptedModel(look)
    with open("seen.txt", "w") as file:
        variables = [os.environ.get("LMMS_VIDEO_" + n) for n in ("DECODE_BACKEND", "CACHE_DIR", "CACHE_MB")]
        print(video._cache().num_made, *variables, sep="\\n", file=file)
"""
MESSAGES = """
def visual(doc):
    return [doc["clip"]]

def messages(doc):
    part = {"type": "video", "url": doc["clip"], "start_time": 0.4, "end_time": 0.8}
    return [{"role": "user", "content": [part, {"type": "text", "text": doc["question"]}]}]
"""
ANSWER = "video 4 of 30 at 1.16"


@pytest.fixture
def bench(pytester):
    """A folder with a clip, a text that calls itself a clip, and a model that looks at what it is shown."""
    for name in ("LMMS_VIDEO_DECODE_BACKEND", "LMMS_VIDEO_CACHE_DIR", "LMMS_VIDEO_CACHE_MB"):
        os.environ.pop(name, None)
    pytester.makeconftest(LOOKING)
    folder = pytester.path / "bench" / "miniature"
    folder.mkdir(parents=True)
    make_video(folder / "clip.mp4", num_frames=30)
    (folder / "text.mp4").write_text("no video " * 100)
    return folder.parent


def rows(*names, answer=ANSWER):
    return [{"clip": {"$video": name}, "question": "what moves?", "answer": answer} for name in names]


def test_a_video_of_a_miniature_reaches_the_model_and_is_decoded_once(pytester, bench, write_task, run, results_of):
    task = write_task(bench, "clips", rows(*["clip.mp4"] * 6), code=MESSAGES, doc_to_visual="!function utils.visual")
    result = run(task, model=None)
    result.assert_outcomes(passed=6)
    assert results_of()["results"]["clips"]["exact_match,none"] == 1.0
    assert (pytester.path / "seen.txt").read_text().split("\n")[0] == "1"


def test_a_part_of_a_video_reaches_the_model(bench, write_task, run, results_of):
    wanted = rows("clip.mp4", answer="video 4 of 30 at 0.80")
    task = write_task(bench, "parts", wanted, code=MESSAGES, doc_to_messages="!function utils.messages")
    run(task, model=None).assert_outcomes(passed=1)
    assert results_of()["results"]["parts"]["exact_match,none"] == 1.0


def test_a_video_that_cannot_be_read_is_an_error_and_the_run_goes_on(bench, write_task, run, records_of):
    clips = rows("clip.mp4", "text.mp4", "clip.mp4")
    task = write_task(bench, "clips", clips, code=MESSAGES, doc_to_visual="!function utils.visual")
    run(task, model=None).assert_outcomes(passed=2, failed=1)
    records = records_of("clips")
    assert [r["status"] for r in records] == ["scored", "error", "scored"]
    assert "text.mp4: cannot be read as a video" in records[1]["error"]


def test_options_say_how_videos_are_read_and_leave_no_trace(pytester, bench, write_task, run):
    task = write_task(bench, "clips", rows("clip.mp4"), code=MESSAGES, doc_to_visual="!function utils.visual")
    options = (
        "--lmms-video-backend",
        "auto",
        "--lmms-video-cache",
        "kept",
        "--lmms-video-cache-mb",
        "7",
        "--no-lmms-report",
    )
    run(task, *options, model=None).assert_outcomes(passed=1)
    seen = (pytester.path / "seen.txt").read_text().splitlines()
    assert seen == ["1", "auto", str(pytester.path / "kept"), "7"]
    assert len(list((pytester.path / "kept").glob("*.npz"))) == 1
    run(task, *options, model=None).assert_outcomes(passed=1)
    assert (pytester.path / "seen.txt").read_text().startswith("0\n"), "the folder had the frames"
    assert "LMMS_VIDEO_CACHE_DIR" not in os.environ


def test_an_unknown_backend_is_a_usage_error(run):
    result = run("--lmms-video-backend", "torchcodek")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--lmms-video-backend: 'torchcodek'*", "*did you mean: torchcodec?*"])
