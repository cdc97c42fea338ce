"""MMMU: where images stand in prompts, how answers are read, and what counts as right."""

from __future__ import annotations

import importlib.util
import json
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.choices import label_options, read_conclusion, read_letter

UTILS = Path(__file__).parents[2] / "benchmarks" / "mmmu" / "utils.py"
FRUITS = label_options(["apple", "pear", "plum", "fig"])
DEFAULT = {"multiple_choice_prompt": "Pick one.", "open_ended_prompt": "Be brief."}
IMAGES_FIRST = {
    "format": "images_first",
    "pre_prompt": "Question: ",
    "post_prompt": "Pick one.",
    "open_ended_prompt": "Be brief.",
}


def load_utils() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tests_benchmarks_mmmu_utils", UTILS)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mmmu = load_utils()


def row(question: str = "Which?", options: str = "['x', 'y']", **columns: Any) -> dict[str, Any]:
    images = {f"image_{n}": Image.new("RGB", (n, 1)) for n in range(1, 8)}
    kind = "multiple-choice" if options != "[]" else "open"
    fixed = {"id": "validation_Art_Theory_9", "question_type": kind, "answer": "A"}
    return {"question": question, "options": options, **fixed, **images, **columns}


def layout(doc: dict[str, Any], kwargs: dict[str, str]) -> list[str | int]:
    """Texts as they are, images as their number."""
    [message] = mmmu.mmmu_doc_to_messages(doc, kwargs)
    assert message["role"] == "user"
    return [p["text"] if p["type"] == "text" else p["url"].width for p in message["content"]]


def item(answer: str, *read: str, kind: str = "multiple-choice", subject: str = "Art") -> dict[str, Any]:
    fixed = {"id": f"validation_{subject}_1", "subdomain": subject, "question_type": kind}
    return {**fixed, "answer": answer, "parsed_pred": list(read)}


# Reading a letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("B.", "B"),
        ("B. pear", "B"),
        ("(B) pear", "B"),
        ("The answer is B", "B"),
        ("'B'", "B"),
        ("Between A and C I take C", "C"),
        ("(A), no, (B), no, (A)", "A"),
        ("(A) is wrong, so B it is", "A"),
        ("I CAB over", "B"),
        ("A.x or B.y", "A"),
        ("B.x or A.y", "A"),
        ("it must be the plum there", "C"),
        ("it is a PLUM, not a pear", "B"),
    ],
)
def test_a_letter_is_found_in_brackets_before_a_space_before_a_stop_or_by_its_text(text: str, letter: str) -> None:
    assert read_letter(text, FRUITS) == letter


@pytest.mark.parametrize(
    "text",
    ["", "b", "pear", "B) pear", "B: pear", "<answer>B</answer>", "just a pear", "(E)", "?!"],
)
def test_an_answer_without_a_readable_option_gives_none(text: str) -> None:
    assert read_letter(text, FRUITS) is None


def test_the_text_of_an_option_counts_from_six_words_on() -> None:
    assert read_letter("one two three four plum", FRUITS) is None
    assert read_letter("one two three four five plum", FRUITS) == "C"


def test_without_options_nothing_is_read() -> None:
    assert read_letter("A", {}) is None


def test_options_are_named_from_a_on() -> None:
    assert FRUITS == {"A": "apple", "B": "pear", "C": "plum", "D": "fig"}


# Reading an open answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("24", "24.0"),
        ("1,234.567", "1234.57"),
        ("25.2024", "25.2"),
        ("Transformer.", "transformer"),
        ("The answer is transformer.", "transformer"),
        ("So the final answer is 7", "7.0"),
        ("x = 3", "3.0"),
        ("x = 3\nthat was it", "x = 3\nthat was it"),
        ("It is 5.\nThus 6", "5.0"),
        ("Here it is :\nso 6", "6.0"),
        ("X", " x"),
        ("", ""),
        (" ... ", ""),
    ],
)
def test_an_open_answer_is_what_follows_a_cue(text: str, answer: str) -> None:
    assert read_conclusion(text) == answer


# Prompts


def test_the_plain_prompt_keeps_placeholders() -> None:
    doc = row("See <image 1>. Which?")
    assert mmmu.mmmu_doc_to_text(doc, DEFAULT) == "See <image 1>. Which?\nA. x\nB. y\n\nPick one."


def test_an_open_question_shows_no_options() -> None:
    assert mmmu.mmmu_doc_to_text(row(options="[]"), DEFAULT) == "Which?\n\nBe brief."


def test_without_prompt_variants_the_prompt_ends_with_a_blank_line() -> None:
    assert mmmu.mmmu_doc_to_text(row()) == "Which?\nA. x\nB. y\n\n"
    assert mmmu.mmmu_doc_to_text(row(options="[]")) == "Which?\n\n"


def test_images_are_those_named_in_question_and_options_each_once_by_name() -> None:
    doc = row("<image 3> or <image 1>, <image 3>?", "['<image 2>', 'y']")
    assert [image.width for image in mmmu.mmmu_doc_to_visual(doc)] == [1, 2, 3]


def test_an_image_that_the_row_lacks_is_an_error_with_the_rows_id() -> None:
    with pytest.raises(DocumentError, match=r"validation_Art_Theory_9.*image_1"):
        mmmu.mmmu_doc_to_visual(row("<image 1>?", image_1=None))
    with pytest.raises(DocumentError, match="image_8"):
        mmmu.mmmu_doc_to_visual(row("<image 8>?"))


def test_in_a_chat_images_stand_where_their_placeholders_do() -> None:
    doc = row("Compare <image 1> with <image 2>.", "['<image 3>', 'y']")
    assert layout(doc, DEFAULT) == ["Compare", 1, "with", 2, ".\nA.", 3, "B. y\n\nPick one."]


def test_a_repeated_placeholder_costs_the_text_between() -> None:
    doc = row("One <image 1> two <image 1> three", "[]")
    assert layout(doc, DEFAULT) == ["One", 1, "three\n\nBe brief."]


def test_images_can_all_stand_first() -> None:
    doc = row("Compare <image 1> with <image 2>.")
    text = "Question: Compare <image 1> with <image 2>.\nOptions:\nA. x\nB. y\nPick one."
    assert layout(doc, IMAGES_FIRST) == [1, 2, text]
    assert layout(row(options="[]"), IMAGES_FIRST) == ["Question: Which?\nOptions:\n\nBe brief."]


# Scores


def test_a_readable_answer_is_recorded_and_not_judged() -> None:
    result = mmmu.mmmu_process_results(row(), ["B"])
    expected = item("A", "B", subject="Art_Theory") | {"id": "validation_Art_Theory_9"}
    assert result["mmmu_acc"] == result["mmmu_acc_pass_at_k"] == expected
    assert result["submission"] == {"validation_Art_Theory_9": "B"}
    assert not isinstance(result, Unparsed)


@pytest.mark.parametrize("options", ["['x', 'y']", "[]"])
def test_an_unreadable_answer_is_unparsed_and_wrong(options: str) -> None:
    result = mmmu.mmmu_process_results(row(options=options), [""])
    assert isinstance(result, Unparsed)
    assert mmmu.mmmu_aggregate_results([result["mmmu_acc"]]) == 0.0
    assert result["submission"] == {"validation_Art_Theory_9": ""}


def test_of_several_repeats_one_right_answer_suffices() -> None:
    result = mmmu.mmmu_process_results(row(), ["B", "who knows", "A"])
    assert result["mmmu_acc"]["parsed_pred"] == ["B", "A"]
    assert mmmu.mmmu_aggregate_results([result["mmmu_acc"]]) == 1.0
    assert result["submission"] == {"validation_Art_Theory_9": "B"}


def test_open_questions_count_as_wrong_as_in_lmms_eval() -> None:
    items = [item("24", "24.0", kind="open"), item("A", "A"), item("B", "A")]
    assert mmmu.mmmu_aggregate_results(items) == 0.33333


def test_accuracy_of_nothing_is_none() -> None:
    assert mmmu.mmmu_aggregate_results([]) is None


def test_sub_scores_are_domains_and_subjects_that_were_asked() -> None:
    items = [item("A", "A"), item("A", "B", subject="Music"), item("A", "A", subject="Math")]
    assert mmmu.mmmu_aggregate_results.sub_scores(items) == {
        "Overall-Art and Design": 0.5,
        "Art": 1.0,
        "Music": 0.0,
        "Overall-Science": 1.0,
        "Math": 1.0,
    }


def test_the_submission_is_one_object_of_all_answers(tmp_path: Path) -> None:
    write = mmmu.mmmu_test_aggregate_results_for_submission
    assert write([{"a": "B"}, {"b": ""}], Namespace(output_path=str(tmp_path))) is None
    written = tmp_path / "submissions" / "mmmu_test_for_submission.json"
    assert json.loads(written.read_text("utf-8")) == {"a": "B", "b": ""}


@pytest.mark.parametrize("args", [None, Namespace(), Namespace(output_path=None)])
def test_without_an_output_path_no_submission_is_written(
    args: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mmmu.mmmu_test_aggregate_results_for_submission([{"a": "B"}], args) is None
    assert not list(tmp_path.iterdir())
