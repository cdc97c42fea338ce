"""`pytest-lmms judge check`."""

from __future__ import annotations

import json

import pytest

LABELS = [(0.75, "right"), (0.75, "right"), (0.0, "wrong"), (1.0, "right")]


@pytest.fixture
def examples(tmp_path):
    path = tmp_path / "labelled.jsonl"
    rows = [{"document": {"question": "q", "answer": "a"}, "response": r, "label": {"score": s}} for s, r in LABELS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def arguments(said):
    return ["--judge", "dummy", "--judge-args", "response='" + json.dumps(said) + "'"]


def test_agreement_has_an_interval_and_an_error(run, examples):
    said = arguments({"reason": "", "score": 0.75})
    code, output, error = run("judge", "check", examples, "--rubric", "mmvet", *said, "--json")
    assert code == 0, error
    part = json.loads(output)["parts"]["score"]
    assert (part["n"], part["agree"], part["mean_error"]) == (4, 0.5, 0.25)
    assert 0 < part["low"] < 0.5 < part["high"] < 1


def test_too_little_agreement_is_exit_code_1(run, examples):
    said = arguments({"reason": "", "score": 0.75})
    assert run("judge", "check", examples, "--rubric", "mmvet", *said, "--least", "0.9")[0] == 1
    assert run("judge", "check", examples, "--rubric", "mmvet", *said, "--least", "0.5")[0] == 0


def test_truth_values_have_kappa_and_a_table(run, tmp_path):
    path = tmp_path / "labelled.jsonl"
    rows = [{"document": {"question_for_eval": "q", "answer": "a"}, "response": "r", "label": {"is_right": b}}
            for b in (True, True, False)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = arguments({"reason": "", "is_right": True})
    code, output, _ = run("judge", "check", path, "--rubric", "mathverse", *said)
    assert code == 0
    assert "agrees in 66.7%" in output
    assert "kappa 0.000" in output
    assert "labelled False: 1 x True" in output


def test_the_effect_of_the_order_is_told(run, tmp_path):
    path = tmp_path / "labelled.jsonl"
    document = {"caption": "c", "question": "q", "gpt_answer": "g"}
    path.write_text(json.dumps({"document": document, "response": "r", "label": {"first_score": 5}}))
    said = arguments({"reason": "", "first_score": 5, "second_score": 8})
    assert "changes the winner in 100.0%" in run("judge", "check", path, "--rubric", "llava_in_the_wild", *said)[1]


def test_replies_that_are_no_verdicts_are_counted(run, examples):
    code, output, _ = run("judge", "check", examples, "--rubric", "mmvet", "--judge", "dummy")
    assert code == 1
    assert "4 examples, 4 without a verdict" in output


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", ":1"), ('{"response": "r"}', "no labelled example"), ("", "no examples"),
     ('{"response": "r", "label": {"points": 3}}', "no labelled example"),
     ('{"response": "r", "label": {"score": "0.5"}}', ":1: score is '0.5', not a number"),
     ('{"response": "r", "label": {"score": 3}}', "score is 3, not 0 to 1"),
     ('{"response": "r", "document": [1], "label": {"score": 1}}', "document is no mapping")],
)  # fmt: skip
def test_a_wrong_file_is_told_with_its_line(run, tmp_path, text, said):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    code, _, error = run("judge", "check", path, "--rubric", "mmvet", "--judge", "dummy")
    assert code == 4
    assert said in error


def test_a_benchmark_without_a_rubric_is_told_with_those_that_have_one(run, examples):
    code, _, error = run("judge", "check", examples, "--rubric", "mme", "--judge", "dummy")
    assert code == 4
    assert "mmvet" in error
