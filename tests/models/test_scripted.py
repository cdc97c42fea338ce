"""Models whose answers are written down: from Python, from JSON, from JSON lines."""

from __future__ import annotations

import json

import pytest

from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.inference.model import BatchModel, ScoresContinuations
from pytest_lmms.records import Generation, Message, Request, Response
from pytest_lmms.registry import MODELS
from pytest_lmms.testing import ScriptedModel


def ask(doc_id=0, task="mme", repeat=0, continuation=None):
    return Request(
        task=task,
        doc_id=doc_id,
        repeat=repeat,
        messages=(Message(role="user", content=(f"question {doc_id}",)),),
        generation=Generation(),
        continuation=continuation,
    )


def said(model, *requests):
    return [response.text for response in model.generate(requests)]


def test_a_function_of_the_request_answers():
    model = ScriptedModel(lambda request: request.text.upper())
    assert isinstance(model, BatchModel)
    assert said(model, ask(1), ask(2)) == ["QUESTION 1", "QUESTION 2"]
    assert model.asked == [("mme", 1, 0), ("mme", 2, 0)]
    assert model.batch_sizes == [2]


def test_a_mapping_answers_by_document_then_task_then_default():
    model = ScriptedModel({"mme[0]": "a", "mme": "b"}, default="c")
    assert said(model, ask(0), ask(1), ask(0, "gqa")) == ["a", "b", "c"]


def test_a_list_answers_by_document_number():
    assert said(ScriptedModel(["a", "b"]), ask(1), ask(0)) == ["b", "a"]


def test_repeats_have_answers_of_their_own():
    model = ScriptedModel({"mme": ["first", "second"]})
    assert said(model, ask(3, repeat=1), ask(3)) == ["second", "first"]
    with pytest.raises(ModelError, match="2 answers are scripted"):
        said(model, ask(3, repeat=2))


def test_an_answer_of_another_form_is_refused_with_the_forms_there_are():
    with pytest.raises(ModelError, match="has the key 'mme\\[0\\]'"):
        said(ScriptedModel({"mme": {"0": "a"}}), ask(0))


def test_a_document_can_be_told_to_fail_or_to_be_refused():
    model = ScriptedModel(
        {
            "mme[0]": {"raise": "the server burned down"},
            "mme[1]": {"text": "", "finish_reason": "filtered"},
            "mme[2]": Response(text="x", finish_reason="length"),
        }
    )
    with pytest.raises(ModelError, match=r"mme\[0\]: the server burned down"):
        said(model, ask(1), ask(0))
    responses = model.generate([ask(1), ask(2)])
    assert [response.finish_reason for response in responses] == ["filtered", "length"]


def test_a_document_that_is_not_scripted_is_named():
    with pytest.raises(ModelError, match=r"mme\[7\].*\n.*did you mean: mme\[1\]"):
        said(ScriptedModel({"mme[1]": "a"}), ask(7))


def test_the_scripted_continuation_is_certain_and_others_are_not():
    model = ScriptedModel({"mme": "yes"})
    assert isinstance(model, ScoresContinuations)
    right, wrong = model.score([ask(continuation=" yes"), ask(continuation=" no")])
    assert (right.logprob, right.is_greedy) == (0.0, True)
    assert wrong.logprob < -1
    assert not wrong.is_greedy


def test_a_script_may_be_json_or_json_lines(tmp_path):
    answers = {"mme[0]": "a", "mme[1]": {"raise": "lost"}}
    (tmp_path / "a.json").write_text(json.dumps(answers))
    lines = [
        {"task": "mme", "doc_id": 0, "response": "a"},
        {"task": "mme", "doc_id": 1, "response": {"raise": "lost"}},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    scripted = MODELS.load("scripted")
    models = [scripted(file=str(tmp_path / name)) for name in ("a.json", "a.jsonl")]
    models.append(scripted(responses=answers))
    for model in models:
        assert said(model, ask(0)) == ["a"]
        with pytest.raises(ModelError, match="lost"):
            said(model, ask(1))
        assert model.identity == models[0].identity
    assert scripted(default="x").identity != models[0].identity


def test_a_script_that_cannot_be_read_is_a_usage_error(tmp_path):
    scripted = MODELS.load("scripted")
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("3")
    for arguments in (
        {},
        {"responses": ["a"], "file": "a.json"},
        {"file": str(tmp_path / "none.json")},
        {"file": str(tmp_path / "a.json")},
        {"file": str(tmp_path / "b.json")},
    ):
        with pytest.raises(UsageError):
            scripted(**arguments)
