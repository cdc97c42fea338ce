"""Rows, media, checkpoints and answers of strangers: read as data, bounded, and shown without effect on a terminal."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import soundfile

from pytest_lmms.errors import DatasetError, MediaError, UsageError
from pytest_lmms.media import _pyav, audio, pdf
from pytest_lmms.media.decode_image import decode
from pytest_lmms.media.pdf import render_page
from pytest_lmms.media.video import open_video
from pytest_lmms.printable import printable
from pytest_lmms.records import MediaRef
from pytest_lmms.registry import MODELS
from pytest_lmms.tasks.load import load_task
from tests.made_videos import make_video
from tests.models.conftest import checkpoint  # noqa: F401
from tests.results.run_files import write_run

ROOT = Path(__file__).parents[2]
ESCAPES = "\x1b[2J\x1b[1;1H\x1b]0;owned\x07\x9b31m\x08\x7f\u202e\rOVERWRITTEN"
"""Clears the screen, moves the cursor, sets the window's title, colours, deletes, and turns the direction of text."""


def controls_in(text):
    return {c for c in text if printable(c) != c}


# --- the terminal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("-v", "-rA"), ("-n", "2", "-vv"), ("--tb=short", "-p", "no:xdist")])
def test_escapes_in_answers_and_errors_do_not_reach_the_terminal(remote, server, arguments):
    remote.task([{"question": f"q{i}{ESCAPES}", "answer": ESCAPES} for i in range(3)])
    server.plan = [{"text": ESCAPES}, {"status": 400, "message": f"no {ESCAPES}"}]
    server.text = ESCAPES
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", "model=m,max_retries=0", "--color=no", *arguments)
    assert run.code == 1, run
    assert "no \\u001b[2J" in run.output
    assert not controls_in(run.output)
    answers = [r["resps"] for r in remote.records() if r.get("resps")]
    assert any("\x1b[2J" in json.dumps(a, ensure_ascii=False).encode().decode("unicode_escape") for a in answers)


def test_escapes_in_rows_do_not_reach_the_terminal_of_a_dry_run(remote):
    remote.task([{"question": f"what{ESCAPES}", "answer": "A"}])
    run = remote.run("--lmms-model", "dummy", "--lmms-dry-run", "--color=no")
    assert "first prompt" in run.output, run
    assert "what" in run.output
    assert not controls_in(run.output)


@pytest.mark.parametrize("command", [["compare"], ["compare", "--markdown"], ["gate"], ["config", "export"], ["view"]])
def test_escapes_in_a_strangers_run_do_not_reach_the_terminal(tmp_path, command):
    hostile = {"model_name": ESCAPES, "config": {"model": ESCAPES, "resolved_cli_args": {"model": ESCAPES}}}
    one = write_run(tmp_path / "one", {f"t{ESCAPES}": [1, 0]}, **hostile)
    two = write_run(tmp_path / "two", {f"t{ESCAPES}": [0, 0]}, metric=f"acc{ESCAPES}", **hostile)
    folders = [str(one), str(two)] if command[0] == "compare" else [str(one)]
    extra = {"gate": ["--fail-under", "acc=0.1"], "view": ["--report"]}.get(command[0], [])
    done = subprocess.run(
        [sys.executable, "-m", "pytest_lmms", *command, *folders, *extra],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout + done.stderr
    assert not controls_in(done.stdout + done.stderr)


def test_printable_keeps_what_is_fit_to_print():
    text = "Zeile 1\n\tZeile 2\r\nأ ב 猫 🐈 é"
    assert printable(text) == text
    assert json.loads(printable(json.dumps("\x9b\u202e", ensure_ascii=False))) == "\x9b\u202e"


# --- code that comes with data ------------------------------------------------------------------------------------


class Payload:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_a_checkpoint_that_is_a_pickle_runs_nothing(checkpoint, tmp_path):  # noqa: F811
    import torch

    folder, marker = tmp_path / "evil", tmp_path / "ran"
    shutil.copytree(checkpoint, folder)
    for weights in folder.glob("*.safetensors*"):
        weights.unlink()
    torch.save({"lm_head.weight": Payload(marker)}, folder / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        MODELS.load("huggingface")(str(folder), device="cpu")
    assert not marker.exists()
    pickle.loads(pickle.dumps(Payload(marker)))  # the payload is real
    assert marker.exists()


@pytest.mark.parametrize("kwargs", ["{}", "{trust_remote_code: true}"])
def test_a_script_that_comes_with_a_dataset_does_not_run(tmp_path, kwargs):
    data, marker = tmp_path / "data", tmp_path / "ran"
    data.mkdir()
    (data / "data.py").write_text(f"from pathlib import Path\nPath({str(marker)!r}).touch()\n")
    path = tmp_path / "toy.yaml"
    path.write_text(
        f"task: toy\ndataset_path: {data}\ntest_split: test\ndataset_kwargs: {kwargs}\n"
        "doc_to_text: question\ndoc_to_target: answer\nmetric_list: [{metric: exact_match}]\n"
    )
    with pytest.raises(DatasetError):
        load_task(path).open_rows()
    assert not marker.exists()


FORBIDDEN = {
    ("pickle", "load"), ("pickle", "loads"), ("pickle", "Unpickler"), ("marshal", "loads"), ("shelve", "open"),
    ("joblib", "load"), ("dill", "loads"), ("cloudpickle", "loads"), ("yaml", "load"), ("yaml", "full_load"),
    ("yaml", "unsafe_load"), ("os", "system"), ("pandas", "read_pickle"), ("numpy", "fromfile"),
}  # fmt: skip
SOURCES = [p for name in ("pytest_lmms", "models", "benchmarks") for p in sorted((ROOT / name).rglob("*.py"))]


ALLOWED = {
    "pytest_lmms/media/reader_process.py": "pickle.load",  # orders, from the process that started it
    "pytest_lmms/scoring/verifiers/_inside.py": "exec compile",  # a model's program, in a process that is confined
}
"""By file: what it may call, and why."""


def test_no_source_builds_objects_from_bytes_or_runs_text():
    wrong = []
    for path in SOURCES:
        allowed = ALLOWED.get(path.relative_to(ROOT).as_posix(), "").split()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            where = f"{path.relative_to(ROOT)}:{node.lineno}"
            keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "compile", "__import__"):
                if node.func.id not in allowed:
                    wrong.append(f"{where} {node.func.id}")
            elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
                called = node.func.value.id, node.func.attr
                if called in FORBIDDEN and ".".join(called) not in allowed:
                    wrong.append(f"{where} {'.'.join(called)}")
                if called == ("torch", "load") and keywords.get("weights_only") != "True":
                    wrong.append(f"{where} torch.load without weights_only=True")
                if called in (("np", "load"), ("numpy", "load")) and keywords.get("allow_pickle") != "False":
                    wrong.append(f"{where} numpy.load without allow_pickle=False")
            if keywords.get("shell") == "True":
                wrong.append(f"{where} shell=True")
    assert not wrong, "\n".join(wrong)


# --- media --------------------------------------------------------------------------------------------------------


def test_a_video_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LMMS_VIDEO_CACHE_MB", "0")
    monkeypatch.setattr(_pyav, "MAX_PIXELS", 64 * 48)
    small = make_video(tmp_path / "small.mp4", num_frames=5)
    large = make_video(tmp_path / "large.mp4", num_frames=5, size=(256, 256))
    assert len(np.asarray(open_video(MediaRef(kind="video", path=small), num_frames=2).frames)) == 2
    with pytest.raises(MediaError, match=r"large\.mp4"):
        _ = open_video(MediaRef(kind="video", path=large), num_frames=2).frames


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, pixels, further=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + further + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_picture_of_too_many_pixels_is_found_before_anything_is_asked(remote):
    bomb = png(60_000, 60_000, zlib.compress(bytes(1000)))
    (remote.path / "bench" / "media").mkdir(parents=True)
    (remote.path / "bench" / "media" / "bomb.png").write_bytes(bomb)
    (remote.path / "bench" / "utils.py").write_text(
        "from pathlib import Path\nimport PIL.Image\n"
        "def look(doc):\n"
        "    return [PIL.Image.open(Path(__file__).parent / 'media' / doc['file'])] if doc['file'] else []\n"
    )
    rows = [{"question": "q", "answer": "Yes", "file": name} for name in ("", "bomb.png", "")]
    remote.task(rows, doc_to_visual="!function utils.look")
    run = remote.run("--lmms-model", "dummy")
    assert run.code == 2, run
    assert "toy.yaml::toy[1]: doc_to_visual failed with DecompressionBombError" in run.output


def test_a_picture_that_is_a_program_is_refused_and_not_run(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    picture = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    marker = tmp_path / "ran"
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {marker}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # PIL looks for it once
    with pytest.raises(MediaError, match=r"row 3.*PostScript is a program"):
        decode(picture, None, "row 3")
    assert not marker.exists()
    with pytest.raises(OSError, match="cannot identify"):  # what it wrote is no image, but it has run
        PIL.Image.open(io.BytesIO(picture)).load()
    assert marker.exists()


def pdf_of(box, content=b""):
    """A PDF of one page."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[{box}]/Contents 4 0 R/Resources<<>>>>".encode(),
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
    ]  # fmt: skip
    numbered = [b"%d 0 obj%s\nendobj\n" % pair for pair in enumerate(objects, 1)]
    return b"%PDF-1.7\n" + b"".join(numbered) + b"trailer<</Size 5/Root 1 0 R>>\n%%EOF"


@pytest.mark.parametrize("box", ["0 0 14400 14400", "0 0 1000000 1000000", "0 0 2000000000 2000000000"])
def test_a_page_of_too_many_pixels_is_refused(box, tmp_path):
    pytest.importorskip("pypdfium2")
    (tmp_path / "page.pdf").write_bytes(pdf_of(box))
    with pytest.raises(MediaError, match=r"page\.pdf: page 1 would be [\d,]+ x [\d,]+ pixels"):
        render_page(tmp_path / "page.pdf", 1)


@pytest.mark.parametrize("box", ["0 0 612 792", "0 0 0 0", "612 792 0 0", "0 0 1e999 792", "0 0 x y"])
def test_a_page_of_odd_or_no_size_is_drawn_as_a_letter(box, tmp_path):
    pytest.importorskip("pypdfium2")
    (tmp_path / "page.pdf").write_bytes(pdf_of(box))
    assert render_page(tmp_path / "page.pdf", 1, dots_per_inch=72).size == (612, 792)


def test_a_sound_that_would_be_too_long_at_the_wanted_rate_is_refused(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "slow.flac", np.zeros(10_000, np.float32), 1_000)
    monkeypatch.setattr(audio, "MAX_SAMPLES", 100_000)
    assert len(audio.read_audio(str(tmp_path / "slow.flac"), rate=10_000)[0]) == 100_000
    with pytest.raises(MediaError, match="longer than 100,000 samples at 16,000 Hz"):
        audio.read_audio(str(tmp_path / "slow.flac"), rate=16_000)


def test_a_sound_of_many_channels_takes_no_more_memory_at_a_time(tmp_path):
    soundfile.write(tmp_path / "wide.wav", np.zeros((20_000, 1_000), np.int16), 16_000)
    tracemalloc.start()
    samples, _ = audio.read_audio(str(tmp_path / "wide.wav"))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(samples) == 20_000
    assert most < 20_000_000  # all at once they are 80 million


LARGE = zlib.compress(bytes(100_000_000), 9)
CHUNKS = {
    "a colour profile that unpacks to 100 MB": (b"iCCP", b"x\0\0" + LARGE),
    "a text that unpacks to 100 MB": (b"zTXt", b"x\0\0" + LARGE),
    "an international text that unpacks to 100 MB": (b"iTXt", b"x\0\1\0\0\0" + LARGE),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_what_a_small_picture_unpacks_to_beside_its_pixels_takes_no_memory(name):
    picture = png(4, 4, zlib.compress(bytes(13 * 4)), chunk(*CHUNKS[name]))
    tracemalloc.start()
    with contextlib.suppress(MediaError):  # refused, or read without it
        decode(picture, None, name)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20_000_000


SLOW = (
    b"20 w 1 J 1 j 0 0 m " + b"".join(b"%d %d l " % (i * 7919 % 612, i * 104729 % 792) for i in range(20_000)) + b"S\n"
)


def test_a_page_that_is_drawn_for_too_long_is_an_error_that_names_it(tmp_path, monkeypatch):
    pytest.importorskip("pypdfium2")
    (tmp_path / "slow.pdf").write_bytes(pdf_of("0 0 612 792", SLOW * 200))
    (tmp_path / "page.pdf").write_bytes(pdf_of("0 0 612 792"))
    monkeypatch.setenv("LMMS_PDF_PAGE_SECONDS", "1")
    with pytest.raises(MediaError, match=r"slow\.pdf: page 1 cannot be drawn: it takes more than 1 s[\s\S]*leave the"):
        render_page(tmp_path / "slow.pdf", 1)
    monkeypatch.delenv("LMMS_PDF_PAGE_SECONDS")
    assert render_page(tmp_path / "page.pdf", 1, dots_per_inch=72).size == (612, 792)


def test_a_page_over_which_its_process_ends_is_an_error_and_the_next_is_drawn(tmp_path, monkeypatch):
    pytest.importorskip("pypdfium2")
    process = pdf._Process()
    monkeypatch.setattr(pdf, "_process", lambda _: process)
    (tmp_path / "page.pdf").write_bytes(pdf_of("0 0 612 792"))
    render_page(tmp_path / "page.pdf", 1)
    process._child.kill()
    with pytest.raises(MediaError, match=r"page\.pdf: page 1 cannot be drawn: PDFium's process ended with -9"):
        render_page(tmp_path / "page.pdf", 1)
    assert render_page(tmp_path / "page.pdf", 1).size == (1224, 1584)
    process.close()


@pytest.mark.parametrize("said", ["soon", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_told(said, tmp_path, monkeypatch):
    pytest.importorskip("pypdfium2")
    monkeypatch.setenv("LMMS_PDF_PAGE_SECONDS", said)
    with pytest.raises(UsageError, match=f"LMMS_PDF_PAGE_SECONDS={said}"):
        render_page(tmp_path / "page.pdf", 1)
