"""Tokens and speed: the names that lmms-eval uses, null where nobody knows."""

from __future__ import annotations

import pytest

from pytest_lmms.results.efficiency import Efficiency, number_of, union_seconds
from pytest_lmms.results.table import efficiency_line


def record(score=1.0, tokens=((10, 4, None),), timings=(), **more):
    return {"scores": {"none": {"acc": score}}, "token_counts": tokens, "timings": timings, **more}


def test_the_names_are_those_people_know():
    efficiency = Efficiency()
    efficiency.add(record(1.0, timings=[(12.0, 2.0, 1, None, None, "wall")]), "score")
    efficiency.add(record(0.0, [(10, 8, 3)], [(13.0, 2.0, 1, None, None, "wall")]), "score")
    assert efficiency.summary() == {
        "docs": 2, "docs_with_token_counts": 2, "total_input_tokens": 20, "total_output_tokens": 12,
        "total_reasoning_tokens": 3, "total_tokens": 32, "total_correct_score": 1.0,
        "avg_output_tokens_per_sample": 6.0, "tokens_per_correct_answer": 12.0,
    }  # fmt: skip
    throughput = efficiency.throughput()
    assert throughput["total_gen_tokens"] == 12
    assert throughput["total_elapsed_time"] == 3.0  # from 10 to 13
    assert throughput["avg_speed"] == 4.0


def test_what_nobody_knows_is_null():
    efficiency = Efficiency()
    efficiency.add(record(tokens=[(None, None, None)]), "score")
    summary = efficiency.summary()
    assert summary["docs_with_token_counts"] == 0
    for key in ("total_input_tokens", "total_output_tokens", "total_tokens", "avg_output_tokens_per_sample",
                "tokens_per_correct_answer"):  # fmt: skip
        assert summary[key] is None
    throughput = efficiency.throughput()
    assert throughput["total_gen_tokens"] is throughput["total_elapsed_time"] is throughput["avg_speed"] is None


def test_no_correct_answer_has_no_price():
    efficiency = Efficiency()
    efficiency.add(record(0.0), "score")
    assert efficiency.summary()["tokens_per_correct_answer"] is None


def test_a_cached_response_counts_its_tokens_but_not_its_speed():
    efficiency = Efficiency()
    efficiency.add(record(num_cached=1), "score")
    assert efficiency.summary()["total_output_tokens"] == 4
    assert efficiency.throughput()["total_gen_tokens"] is None


def test_a_batch_is_timed_once():
    efficiency = Efficiency()
    for _ in range(4):
        efficiency.add(record(timings=[(12.0, 2.0, 4, None, None, "wall")]), "score")
    assert efficiency.throughput()["total_elapsed_time"] == 2.0


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [([], None), ([(0, 1)], 1), ([(0, 2), (1, 3)], 3), ([(0, 1), (5, 6)], 2), ([(0, 9), (1, 2)], 9)],
)
def test_time_is_counted_once_however_many_workers_answer(intervals, seconds):
    assert union_seconds(intervals) == seconds


def test_latencies_are_told_apart_by_their_source():
    efficiency = Efficiency()
    for n in range(1, 101):
        efficiency.add(record(timings=[(n, 0.5, 1, n / 100, 0.02, "engine")]), "score")
    assert efficiency.throughput()["ttft_seconds"] == {"engine": {"n": 100, "p50": 0.5, "p90": 0.9, "p99": 0.99}}


def test_the_summary_shows_each_source_with_its_percentiles():
    efficiency = Efficiency()
    for n in range(1, 101):
        efficiency.add(record(timings=[(n, 0.5, 1, n / 1000, 0.002, "hook")]), "score")
    efficiency.add(record(timings=[(200, 0.5, 1, 3.0, None, "client")]), "score")
    results = {"efficiency": {"overall": efficiency.summary()}, "throughput": efficiency.throughput()}
    line = efficiency_line(results)
    assert "TTFT p50 50 ms p90 90 ms p99 99 ms (hook)" in line
    assert "TTFT p50 3,000 ms p90 3,000 ms p99 3,000 ms (client)" in line
    assert "TPOT p50 2 ms p90 2 ms p99 2 ms (hook)" in line


@pytest.mark.parametrize(
    ("scores", "number"),
    [
        ({"score": 0.5, "acc": 1.0}, 0.5),
        ({"other": 3, "acc": True}, 1.0),
        ({"x": "text", "mme_score": 2.0}, 2.0),
        ({"only": {"score": 0.25, "id": 3}}, 0.25),
        ({"a": 1.0, "b": 2.0}, None),
        ({"only": {"pred": "x"}}, None),
        ({}, None),
    ],
)
def test_one_number_says_how_right_a_document_is(scores, number):
    assert number_of(scores, "score") == number
