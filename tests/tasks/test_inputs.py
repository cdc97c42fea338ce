from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lmms.errors import UsageError
from pytest_lmms.records import Generation, MediaRef, Message, Request
from pytest_lmms.tasks.inputs import difference, from_text, inputs_of, task_inputs, to_text
from pytest_lmms.tasks.load import load_one

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "task_input_specs" / "redundancy_refactor.yaml"


def request(*content, **more):
    message = Message(role="user", content=content)
    return Request(task="t", doc_id=3, messages=(message,), generation=Generation(max_new_tokens=8), **more)


@pytest.mark.parametrize("yaml", ["mme/mme.yaml", "mmmu/mmmu_val.yaml"])
def test_the_shipped_benchmarks_ask_what_their_specification_says(yaml):
    """A change of prompts on purpose: `pytest-lmms tasks inputs mme mmmu_val --write FILE` writes the file anew."""
    task = load_one(ROOT / "benchmarks" / yaml)
    spec = from_text(SPEC.read_text(encoding="utf-8"), str(SPEC))
    assert spec[task.name]
    assert not difference(spec, {task.name: task_inputs(task, data="mini")})


def test_a_medium_is_told_by_its_bytes_and_not_by_its_place(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"picture")
    stored = inputs_of(3, [request(MediaRef(kind="image", data=b"picture"), "What?")])
    assert inputs_of(3, [request(MediaRef(kind="image", path=str(file)), "What?")]) == stored
    assert inputs_of(3, [request(MediaRef(kind="image", data=b"another"), "What?")]) != stored


def test_only_generation_settings_that_somebody_made_are_shown():
    assert inputs_of(3, [request("What?")])["generation"] == {"max_new_tokens": 8}


def test_repeats_are_counted_and_continuations_listed():
    assert inputs_of(3, [request("Q"), request("Q", repeat=1)])["repeats"] == 2
    asked = inputs_of(3, [request("Q", continuation=" A"), request("Q", continuation=" B"), request(continuation=" A")])
    assert asked["continuations"] == [" A", " B"]
    assert asked["also"] == [{"messages": [{"role": "user", "content": []}], "continuations": [" A"]}]


def test_a_document_that_asks_nothing_has_no_messages():
    assert inputs_of(3, []) == {"doc_id": 3, "generation": {}, "messages": []}


@pytest.mark.parametrize(
    "text", ["two\nlines", " led by blanks\nx", "trailing \nx\n\n", "yes", "5", "", "a: b", "ü\t\x85"]
)
def test_text_survives_being_written_and_read(text):
    inputs = {"t": [inputs_of(0, [request(text)])]}
    assert from_text(to_text(inputs), "f") == inputs


def test_a_changed_word_shows_as_a_removed_and_an_added_line():
    before, after = ({"t": [inputs_of(0, [request(f"Is it {word}?\nSay yes or no.")])]} for word in ("red", "blue"))
    lines = difference(before, after).splitlines()
    assert [line.replace(" ", "") for line in lines if line[1:].startswith(" ") and line[0] in "+-"] == [
        "-Isitred?",
        "+Isitblue?",
    ]


def test_tasks_that_were_not_asked_for_are_no_difference_but_new_ones_are():
    one, two = ([inputs_of(0, [request(text)])] for text in ("a", "b"))
    assert not difference({"one": one, "two": two}, {"one": one})
    assert difference({"one": one}, {"two": two})


@pytest.mark.parametrize("text", ["[1, 2]", "mme: 5", "a: [", "", "a: !!python/name:os.system"])
def test_a_file_of_another_form_is_refused_by_name(text):
    with pytest.raises(UsageError, match=r"^spec\.yaml: "):
        from_text(text, "spec.yaml")
