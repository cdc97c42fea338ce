"""METEOR: its program's counts of captions, and the score that is made of them here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_lmms.results.aggregate import TaskAggregate
from pytest_lmms.results.table import not_computed_lines
from pytest_lmms.scoring import meteor
from pytest_lmms.scoring.captions import CAPTION_METRICS
from pytest_lmms.tasks.load import load_task

COCO = Path(__file__).parents[2] / "benchmarks" / "coco_cap" / "coco2017_cap_val.yaml"
NONE = (0.0,) * 12
# What the program says of "a red ball lies on a table" against "a red ball on the table" and "the ball is red", of
# "a cat runs" against "a dog", and of a caption that is its reference; then of each alone, and of all three.
ROWS = [
    (7.0, 6.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.0, *NONE, 3.0, 5.0, 5.0),
    (3.0, 2.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, *NONE, 1.0, 1.0, 1.0),
    (2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, *NONE, 0.0, 2.0, 2.0),
]
CAPTIONS = [
    ("a red ball lies on a table", ["a red ball on the table", "the ball is red"]),
    ("a cat runs", ["a dog"]),
    ("a dog", ["a dog"]),
]


def items(captions):
    return [{"pred": own, "answer": references} for own, references in captions]


@pytest.fixture
def installed():
    """Java and the program, which this test needs."""
    if (why := meteor.obstacle()) is not None:
        pytest.skip(f"METEOR: {why}")


@pytest.fixture
def afresh():
    """Whatever runs, or was said before, is gone; and again afterwards."""

    def afresh():
        if meteor._running.cache_info().currsize:
            meteor._running().end()
        meteor._running.cache_clear()
        meteor._counted.cache_clear()

    afresh()
    yield
    afresh()


@pytest.fixture
def no_program(monkeypatch, afresh):
    monkeypatch.setattr(meteor, "_program", lambda: None)


@pytest.fixture
def program_of(monkeypatch, tmp_path, afresh):
    """`program_of(code)`: Python that stands in for Java."""

    def program_of(code):
        (tmp_path / "java").write_text(f"#!{sys.executable}\nimport sys\n{code}")
        (tmp_path / "java").chmod(0o755)
        monkeypatch.setattr(meteor, "_program", lambda: tmp_path / "meteor-1.5.jar")
        monkeypatch.setattr(meteor.shutil, "which", lambda _: str(tmp_path / "java"))

    return program_of


def test_counts_of_captions_are_the_programs(installed):
    tokens = [(own.split(), [text.split() for text in references]) for own, references in CAPTIONS]
    assert meteor.counts_of(tokens) == ROWS


def test_a_score_is_what_the_program_makes_of_its_own_counts(installed):
    texts = [
        ("two dogs run along a beach", ["dogs running on the beach", "a couple of dogs are playing in sand"]),
        ("an automobile parked near buildings", ["a car is parked by a building"]),
        ("a man", ["a man"]), ("", ["nothing here"]), ("quickly quickly", ["a quick fox", "quickly"]),
    ]  # fmt: skip
    rows = meteor.counts_of([(own.split(), [text.split() for text in references]) for own, references in texts])
    asked = "EVAL ||| " + " ||| ".join(" ".join(map(str, row)) for row in rows) + "\n"
    program = meteor._program()
    command = [shutil.which("java"), "-jar", program.name, "-", "-", "-stdio", "-l", "en", "-norm"]
    done = subprocess.run(command, cwd=program.parent, input=asked, capture_output=True, text=True, check=True)
    *alone, together = map(float, done.stdout.split())
    assert [meteor.score_of(row) for row in rows] == pytest.approx(alone, abs=1e-12)
    assert meteor.score_of([sum(column) for column in zip(*rows, strict=True)]) == pytest.approx(together, abs=1e-12)


def test_words_of_the_programs_own_language_are_left_out(installed):
    strange = [
        "|||",
        "|||EVAL",
        "EVAL",
        "SCORE",
        "猫",
        "\ud800",
        "a\rb",
        "a\nb",
        "\x85",
        "\u2028",
        "\0",
        "\x1a",
        "x" * 10_000,
    ]
    rows = meteor.counts_of([(["a", text, "dog"], [["a", "dog", text]]) for text in strange])
    assert len(rows) == len(strange)
    assert min(row[meteor.CHUNKS + 1] for row in rows) >= 2


def test_a_program_that_falls_silent_is_ended(program_of, monkeypatch):
    monkeypatch.setattr(meteor, "START_SECONDS", 0.3)
    program_of("sys.stdin.read()")
    with pytest.raises(meteor.MeteorError, match="exit code -9"):
        CAPTION_METRICS["METEOR"](items(CAPTIONS))


def test_scores_of_known_counts():
    assert meteor.score_of(ROWS[2]) == 1.0
    # matched: .75 * 3 + .25 * 2 of .75 * 4 + .25 * 3, and of 3 and 3; 3 chunks of 5 words
    precision, recall = 2.75 / 3.75, 2.75 / 3
    mean = precision * recall / (0.85 * precision + 0.15 * recall)
    assert meteor.score_of(ROWS[0]) == pytest.approx(mean * (1 - 0.6 * (3 / 5) ** 0.2))
    assert meteor.score_of((0.0,) * 23) == 0.0


def test_where_there_is_no_program_the_metric_is_left_out_and_named(no_program):
    own = TaskAggregate(load_task(COCO))
    item = items(CAPTIONS)[0]
    scores = dict.fromkeys(("coco_METEOR", "coco_CIDEr"), item)
    own.add({"status": "scored", "doc_id": 0, "scores": {"none": scores}})
    found, complaints = own.result()
    assert complaints == []
    assert "coco_CIDEr,none" in found
    assert not [key for key in found if "METEOR" in key]
    (line,) = not_computed_lines({"not_computed": {"coco2017_cap_val": own.not_computed()}})
    assert line.startswith("Not computed: coco_METEOR of coco2017_cap_val: its program is not installed: pip install")
    with pytest.raises(meteor.MeteorError, match="its program is not installed"):
        CAPTION_METRICS["METEOR"]([item])


def test_a_program_that_ends_is_an_error_with_what_it_said_and_is_started_again(program_of):
    program_of("sys.exit('no memory')")
    with pytest.raises(meteor.MeteorError, match="exit code 1: no memory"):
        CAPTION_METRICS["METEOR"](items(CAPTIONS))
    rows = json.dumps([" ".join(map(str, row)) for row in ROWS])
    program_of(f"for line, row in zip(sys.stdin, {rows}):\n    print(row, flush=True)")
    assert CAPTION_METRICS["METEOR"](items(CAPTIONS)) == pytest.approx(
        meteor.score_of([sum(column) for column in zip(*ROWS, strict=True)])
    )


def test_another_program_is_not_believed(program_of):
    program_of("for line in sys.stdin:\n    print('0.5 0.5', flush=True)")
    with pytest.raises(meteor.MeteorError, match=r"expected: version 1\.5"):
        CAPTION_METRICS["METEOR"](items(CAPTIONS))
