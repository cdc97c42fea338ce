"""Documents with images and sounds: from a row to what a model opens, and what happens when it cannot be opened."""

from __future__ import annotations

import PIL.Image
import pytest

from pytest_lmms.cli import main
from tests.media.sounds import encoded, sine

LOOKING = """
import pytest
from pytest_lmms.media.audio import open_audio
from pytest_lmms.media.image import open_image
from pytest_lmms.testing import ScriptedModel

def sense(request):
    (ref,) = request.media
    if ref.kind == "image":
        return "x".join(map(str, open_image(ref).size))
    samples, rate = open_audio(ref)
    return f"{len(samples)} at {rate}"

@pytest.fixture(scope="session")
def lmms_model():
    return ScriptedModel(sense)
"""
VISUAL = """
def visual(doc):
    return [doc["medium"]]
"""


@pytest.fixture
def bench(pytester):
    """A folder with media, whole and broken, and a model that opens what it is shown."""
    pytester.makeconftest(LOOKING)
    folder = pytester.path / "bench" / "miniature"
    folder.mkdir(parents=True)
    PIL.Image.effect_noise((40, 30), 90).save(folder / "whole.png")
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:400])
    (folder / "text.png").write_text("no picture " * 50)
    (folder / "empty.png").touch()
    (folder / "whole.flac").write_bytes(encoded(sine(1, 8000), "flac", 8000))
    (folder / "cut.flac").write_bytes(encoded(sine(1, 8000), "flac", 8000)[:2000])
    (folder / "text.mp3").write_text("no sound " * 50)
    return folder.parent


def rows(kind, names, answer):
    return [{"medium": {f"${kind}": n}, "question": "what is this?", "answer": answer} for n in names]


@pytest.mark.parametrize(
    ("kind", "names", "answer", "reasons"),
    [
        ("image", ["whole.png", "cut.png", "text.png", "empty.png", "whole.png"], "40x30",
         ["damaged or truncated", "not an image", "empty"]),
        ("audio", ["whole.flac", "cut.flac", "text.mp3", "whole.flac"], "16000 at 16000",
         ["cannot be read as a sound", "cannot be read as a sound"]),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_an_error_of_its_document_and_the_run_goes_on(
    bench, write_task, run, records_of, results_of, kind, names, answer, reasons
):
    task = write_task(bench, "media", rows(kind, names, answer), code=VISUAL, doc_to_visual="!function utils.visual")
    run(task, model=None).assert_outcomes(passed=2, failed=len(reasons))
    records = records_of("media")
    assert [r["status"] for r in records] == ["scored", *["error"] * len(reasons), "scored"]
    for record, name, reason in zip(records[1:-1], names[1:-1], reasons, strict=True):
        assert reason in record["error"]
        assert name in record["error"]
    assert results_of()["results"]["media"]["exact_match,none"] == 1.0


def test_a_task_is_evaluated_from_its_pack(bench, write_task, run, results_of, pytester):
    pytest.importorskip("lance")
    wanted = rows("audio", ["whole.flac"] * 3, "16000 at 16000")
    task = write_task(bench, "sounds", wanted, code=VISUAL, doc_to_visual="!function utils.visual")
    assert main(["data", "pack", str(task), "--data", "mini", "--output", str(bench / "sounds.lance")]) == 0
    text = task.read_text(encoding="utf-8")
    task.write_text(text + "\ndataset_kwargs: {lance: sounds.lance}\n", encoding="utf-8")
    (bench / "miniature").rename(pytester.path / "gone")
    run(task, model=None, data="full").assert_outcomes(passed=3)
    assert results_of()["results"]["sounds"]["exact_match,none"] == 1.0
