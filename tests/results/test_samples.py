"""What one line of a samples file holds: lmms-eval's fields, flattened, nothing twice."""

from __future__ import annotations

from pytest_lmms.records import Record, Timing, TokenCounts
from pytest_lmms.results.shards import sample_rows


def lines(**fields):
    base = {"task": "toy", "doc_id": 3, "status": "scored", "doc_hash": "ab", "input": "What?", "target": "cat"}
    return sample_rows(Record(**{**base, **fields}))


def test_a_line_has_the_fields_that_people_read():
    (line,) = lines(
        resps=["<think>hm</think>cat"], filtered_resps={"none": ["cat"]}, scores={"none": {"exact_match": 1.0}},
        token_counts=[TokenCounts(input_tokens=5, output_tokens=7)],
    )  # fmt: skip
    assert line == {
        "doc_id": 3, "input": "What?", "target": "cat", "resps": ["<think>hm</think>cat"], "filtered_resps": ["cat"],
        "doc_hash": "ab", "status": "scored", "exact_match": 1.0,
        "token_counts": [{"input_tokens": 5, "output_tokens": 7, "reasoning_tokens": None}],
    }  # fmt: skip


def test_the_raw_text_is_left_out_where_it_equals_the_answer():
    (line,) = lines(resps=["cat"], filtered_resps={"none": ["cat"]})
    assert "resps" not in line
    assert line["filtered_resps"] == ["cat"]


def test_repeats_are_one_flat_list():
    (line,) = lines(resps=["a ", "b"], filtered_resps={"none": ["a", "b"]})
    assert line["resps"] == ["a ", "b"]
    assert line["filtered_resps"] == ["a", "b"]


def test_several_filters_give_a_line_each_that_names_its_filter():
    both = lines(
        resps=["The answer is 4"],
        filtered_resps={"strict": ["4"], "loose": ["The answer is 4"]},
        scores={"strict": {"acc": 1.0}, "loose": {"acc": 0.0}},
    )
    assert [(line["filter"], line["filtered_resps"], line["acc"]) for line in both] == [
        ("strict", ["4"], 1.0),
        ("loose", ["The answer is 4"], 0.0),
    ]
    assert "filter" not in lines(resps=["x"], filtered_resps={"none": ["x"]})[0]


def test_a_document_in_error_has_its_line_too():
    (line,) = lines(status="error", error="lost")
    assert (line["status"], line["error"], line["filtered_resps"]) == ("error", "lost", [])


def test_scores_are_plain_json_for_readers():
    (line,) = lines(filtered_resps={"none": ["x"]}, scores={"none": {"m": {"score": (1, 2), 3: "x"}}})
    assert line["m"] == {"score": [1, 2], "3": "x"}


def test_a_metric_cannot_overwrite_a_field():
    (line,) = lines(filtered_resps={"none": ["x"]}, scores={"none": {"input": 1.0, "status": 0.0}})
    assert (line["input"], line["status"]) == ("What?", "scored")


def test_counts_nobody_knows_are_null():
    (line,) = lines(filtered_resps={"none": ["x"]}, token_counts=[TokenCounts()])
    assert line["token_counts"] == [None]


def test_times_and_what_came_from_the_store_are_told():
    (line,) = lines(
        filtered_resps={"none": ["x"]}, timings=[Timing(seconds=2.0, batch_size=4, finished=10.0)], num_cached=1
    )
    assert line["timings"][0] == {
        "finished": 10.0, "seconds": 2.0, "batch_size": 4, "first_token_seconds": None, "seconds_per_token": None,
        "source": "wall",
    }  # fmt: skip
    assert line["num_cached"] == 1


def test_a_target_that_is_no_text_is_written_as_text():
    assert lines(target=["a", 1])[0]["target"] == "['a', 1]"
    assert lines(target=None)[0]["target"] == ""
