"""Replaying: our own run folders and lmms-eval's, in every form in which answers were written."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.records import Generation, Message, Request, TokenCounts
from pytest_lmms.registry import MODELS


def ask(doc_id=0, task="mme", repeat=0):
    return Request(
        task=task,
        doc_id=doc_id,
        repeat=repeat,
        messages=(Message(role="user", content=("?",)),),
        generation=Generation(),
    )


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def replay(path):
    return MODELS.load("from_log")(logs=str(path))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"resps": ["a"], "filtered_resps": "b"}, ["a"]),
        ({"resps": [["a"]]}, ["a"]),
        ({"resps": ["a", "b"]}, ["a", "b"]),
        ({"resps": [["a", "b"]]}, ["a", "b"]),
        ({"resps": [["a"], ["b"]]}, ["a", "b"]),
        ({"filtered_resps": "a"}, ["a"]),
        ({"filtered_resps": ["a"]}, ["a"]),
        ({"filtered_resps": {"none": "a", "strict": "b"}}, ["a"]),
    ],
)
def test_answers_are_found_in_every_form(tmp_path, row, expected):
    path = write(tmp_path / "samples_mme.jsonl", {"doc_id": 3, **row})
    model = replay(path)
    assert [model.generate([ask(3, repeat=n)])[0].text for n in range(len(expected))] == expected
    with pytest.raises(ModelError, match=f"repeat {len(expected)} is asked"):
        model.generate([ask(3, repeat=len(expected))])


def test_a_run_folder_holds_several_tasks(tmp_path):
    write(tmp_path / "samples_mme.jsonl", {"task": "mme", "doc_id": 0, "resps": ["a"]})
    write(tmp_path / "samples_gqa.jsonl", {"task": "gqa", "doc_id": 0, "resps": ["b"]})
    model = replay(tmp_path)
    assert [model.generate([ask(0, task)])[0].text for task in ("mme", "gqa")] == ["a", "b"]


def test_an_upstream_folder_is_searched_and_the_newest_file_used(tmp_path):
    folder = tmp_path / "Qwen__Qwen2.5-VL"
    write(folder / "20260101_000000_samples_mme.jsonl", {"doc_id": 0, "resps": ["old"]})
    write(folder / "20260201_000000_samples_mme.jsonl", {"doc_id": 0, "resps": ["new"]})
    write(folder / "20260201_000000_samples_some_samples_b.jsonl", {"doc_id": 0, "resps": ["s"]})
    model = replay(tmp_path)
    assert model.generate([ask(0)])[0].text == "new"
    assert model.generate([ask(0, "some_samples_b")])[0].text == "s"


def test_of_several_lines_for_one_document_the_first_counts_and_tokens_come_along(tmp_path):
    counts = {"input_tokens": 5, "output_tokens": 2, "reasoning_tokens": None}
    path = write(
        tmp_path / "samples_mme.jsonl",
        {"doc_id": 0, "resps": ["a"], "filtered_resps": "x", "token_counts": [counts]},
        {"doc_id": 0, "resps": ["b"], "filtered_resps": "y", "token_counts": [None]},
        {"doc_id": 1, "resps": ["c"], "token_counts": [None]},
    )
    first, second = replay(path).generate([ask(0), ask(1)])
    assert (first.text, first.tokens) == ("a", TokenCounts(input_tokens=5, output_tokens=2))
    assert (second.text, second.tokens) == ("c", TokenCounts())


def test_what_the_log_lacks_is_named_with_the_file(tmp_path):
    path = write(tmp_path / "samples_mme.jsonl", {"doc_id": 0, "resps": []})
    model = replay(path)
    for doc_id in (0, 9):
        with pytest.raises(ModelError, match=rf"mme\[{doc_id}\]") as caught:
            model.generate([ask(doc_id)])
        assert str(path) in str(caught.value)
    with pytest.raises(ModelError, match="did you mean: mme"):
        model.generate([ask(0, "mmes")])
    write(path, {"doc_id": 0, "resps": ["a"]}, {"no": "id"})
    with pytest.raises(ModelError, match=r"samples_mme.jsonl:2"):
        replay(path).generate([ask(0)])


def test_a_file_without_a_telling_name_may_say_its_task_inside(tmp_path):
    path = write(tmp_path / "log.jsonl", {"task": "mme", "doc_id": 0, "resps": ["a"]})
    assert replay(path).generate([ask(0)])[0].text == "a"
    write(path, {"doc_id": 0, "resps": ["a"]})
    with pytest.raises(UsageError, match=r"samples_<task>\.jsonl"):
        replay(path)


def test_no_samples_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="holds no samples"):
        replay(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        replay(tmp_path / "none")


def test_identity_changes_with_the_files(tmp_path):
    path = write(tmp_path / "samples_mme.jsonl", {"doc_id": 0, "resps": ["a"]})
    before = replay(tmp_path).identity
    assert replay(path).identity == before
    write(path, {"doc_id": 0, "resps": ["longer"]})
    assert replay(tmp_path).identity != before


@pytest.mark.parametrize(
    "row",
    [
        {"resps": [[-1.5, False], [-0.25, True]], "filtered_resps": []},
        {"resps": [[[-1.5, False]], [[-0.25, True]]]},
        {"filtered_resps": [[-1.5, False], [-0.25, True]]},
        {"filtered_resps": {"none": [[-1.5, 0], [-0.25, 1]]}},
    ],
)
def test_log_probabilities_are_given_by_the_place_of_the_request(tmp_path, row):
    model = replay(write(tmp_path / "samples_mme.jsonl", {"doc_id": 3, **row}))
    requests = [replace(ask(3), continuation=" A", place=place) for place in (1, 0)]
    assert [(r.logprob, r.is_greedy) for r in model.score(requests)] == [(-0.25, True), (-1.5, False)]
    with pytest.raises(ModelError, match=r"mme\[3\]: the log has 2 log-probabilities .*; number 3 is asked"):
        model.score([replace(ask(3), continuation=" A", place=2)])


def test_texts_are_no_log_probabilities(tmp_path):
    model = replay(write(tmp_path / "samples_mme.jsonl", {"doc_id": 0, "resps": ["a"]}))
    with pytest.raises(ModelError, match="the log has 0 log-probabilities"):
        model.score([replace(ask(0), continuation=" A")])
