"""Records to results: what counts, what does not, and how sure one can be."""

from __future__ import annotations

import json
import math

import pytest

from pytest_lmms.config import RunConfig
from pytest_lmms.records import Record, TokenCounts
from pytest_lmms.results.aggregate import TaskAggregate
from pytest_lmms.results.report import Expected, finish_run
from pytest_lmms.results.shards import decode_record, encode_record
from pytest_lmms.results.store import RunFolder
from pytest_lmms.results.table import efficiency_line, results_table
from pytest_lmms.tasks.load import load_task

HEAD = """task: toy
dataset_path: x/y
test_split: test
output_type: generate_until
doc_to_text: question
doc_to_target: answer
"""
MEAN = "metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n"
CUSTOM = "metric_list:\n  - metric: m\n    aggregation: !function utils.total\n    higher_is_better: true\n"


@pytest.fixture
def task_of(tmp_path):
    def task_of(rest=MEAN, code=""):
        (tmp_path / "toy.yaml").write_text(HEAD + rest)
        (tmp_path / "utils.py").write_text(code)
        return load_task(tmp_path / "toy.yaml")

    return task_of


def aggregate_of(task, *records):
    collected = TaskAggregate(task)
    for number, (status, scores) in enumerate(records):
        record = Record(task="toy", doc_id=number, status=status, scores=scores and {"none": scores})
        collected.add(decode_record(encode_record(record)))
    return collected


def test_errors_leave_the_metric_and_what_could_not_be_read_counts_as_wrong(task_of):
    collected = aggregate_of(
        task_of(), ("scored", {"acc": 1.0}), ("scored", {"acc": 1.0}), ("unparsed", {"acc": 0.0}),
        ("filtered", {"acc": 0.0}), ("error", {}),
    )  # fmt: skip
    values, complaints = collected.result()
    assert values["acc,none"] == 0.5
    assert complaints == []
    assert collected.counts(7) == {
        "n_expected": 7, "n_scored": 2, "n_unparsed": 1, "n_filtered": 1, "n_error": 1, "n_unscored": 0, "n_not_run": 2,
    }  # fmt: skip


def test_the_standard_error_of_a_mean_is_that_of_the_central_limit_theorem(task_of):
    values, _ = aggregate_of(task_of(), *[("scored", {"acc": float(x)}) for x in (1, 0, 1, 1)]).result()
    assert values["acc_stderr,none"] == pytest.approx(0.25)
    assert values["acc_stderr_clt,none"] == pytest.approx(0.25)


def test_clusters_of_equal_answers_make_one_less_sure(task_of):
    metric = "score_key: score\ncluster_key: video\n" + CUSTOM
    code = "def total(items):\n    return sum(i['score'] for i in items) / len(items)\n"
    items = [{"score": float(v % 2), "video": v} for v in range(4) for _ in range(5)]
    values, _ = aggregate_of(task_of(metric, code), *[("scored", {"m": i}) for i in items]).result()
    assert values["m_stderr_clustered,none"] > 1.5 * values["m_stderr_clt,none"]
    assert values["m_stderr,none"] == "N/A"


def test_a_median_has_a_bootstrapped_error_that_repeats(task_of):
    task = task_of("metric_list:\n  - metric: m\n    aggregation: median\n    higher_is_better: true\n")
    records = [("scored", {"m": float(x * x % 17)}) for x in range(30)]
    first, second = (aggregate_of(task, *records).result()[0]["m_stderr,none"] for _ in range(2))
    assert first == second
    assert 0 < first < 5


def test_an_aggregation_that_raises_is_a_complaint_and_no_number(task_of):
    task = task_of(CUSTOM, "def total(items):\n    raise ZeroDivisionError('nothing here')\n")
    values, complaints = aggregate_of(task, ("scored", {"m": 1})).result()
    assert values["m,none"] is None
    assert "nothing here" in complaints[0]
    assert "total" in complaints[0]


def test_documents_on_which_an_aggregation_fails_alone_are_left_out_by_name(task_of):
    task = task_of(CUSTOM, "def total(items):\n    return sum(int(i['n']) for i in items)\n")
    collected = aggregate_of(task, *[("scored", {"m": {"n": n}}) for n in (1, None, 2, 4, None)])
    values, complaints = collected.result()
    assert values["m,none"] == 7
    assert len(complaints) == 1
    assert "int() argument must be" in complaints[0]
    assert complaints[0].endswith("; left out 2 documents on which it fails alone: toy[1], toy[4]")
    assert collected.left_out == {1, 4}


def test_standard_errors_are_those_of_the_documents_that_an_aggregation_takes(task_of):
    code = "def total(items):\n    return sum(i['score'] / i['of'] for i in items) / len(items)\n"
    items = [{"score": float(n % 2), "of": 1} for n in range(4)]
    spoilt = [*items, {"score": 1.0, "of": 0}, {"score": 1.0, "of": 0}]
    expected, _ = aggregate_of(task_of(CUSTOM, code), *[("scored", {"m": i}) for i in items]).result()
    values, _ = aggregate_of(task_of(CUSTOM, code), *[("scored", {"m": i}) for i in spoilt]).result()
    assert values == expected


def test_an_aggregation_that_fails_on_all_but_alone_on_none_gives_no_number(task_of):
    code = "def total(items):\n    return len(set(map(type, items))) == 1 and 1.0 or sum(items)\n"
    values, complaints = aggregate_of(task_of(CUSTOM, code), ("scored", {"m": 1}), ("scored", {"m": "1"})).result()
    assert values["m,none"] is None
    assert "left out" not in complaints[0]


def test_a_document_that_spoils_sub_scores_is_left_out_of_them_alone(task_of):
    parts = "lambda items: {item['part'].lower(): 1 for item in items}"
    code = f"def total(items):\n    return float(len(items))\ntotal.sub_scores = {parts}\n"
    collected = aggregate_of(task_of(CUSTOM, code), *[("scored", {"m": {"part": p}}) for p in ("A", None, "B")])
    values, complaints = collected.result()
    assert values["m,none"] == 3.0
    assert values["m,none,sub_scores"] == {"a": 1, "b": 1}
    assert complaints[0].startswith("toy: sub-scores of m: AttributeError: ")
    assert complaints[0].endswith("left out 1 document on which it fails alone: toy[1]")
    assert not collected.left_out


def test_nothing_is_written_while_documents_are_tried_one_by_one(task_of, tmp_path):
    code = (
        "def total(items, args):\n"
        "    numbers = [int(i['n']) for i in items]\n"
        "    if args is not None:\n"
        "        with open(args, 'a') as file:\n"
        "            file.write(f'{sum(numbers)} ')\n"
        "    return sum(numbers)\n"
    )
    collected = aggregate_of(task_of(CUSTOM, code), *[("scored", {"m": {"n": n}}) for n in (1, None, 2)])
    assert collected.result(tmp_path / "written")[0]["m,none"] == 3
    assert (tmp_path / "written").read_text() == "3 "


def test_sub_scores_that_raise_are_a_complaint_and_leave_the_metric(task_of):
    code = "def total(items):\n    return 1.0\ntotal.sub_scores = lambda items: {}['part']\n"
    values, complaints = aggregate_of(task_of(CUSTOM, code), ("scored", {"m": 1})).result()
    assert values["m,none"] == 1.0
    assert complaints == ["toy: sub-scores of m: KeyError: 'part'"]


def test_an_aggregation_sees_tuples_and_integer_keys_as_they_were(task_of):
    code = (
        "def total(items):\n"
        "    assert all(type(i['pair']) is tuple and type(next(iter(i['by']))) is int for i in items), items\n"
        "    return sum(i['pair'][0] for i in items)\n"
    )
    values, complaints = aggregate_of(
        task_of(CUSTOM, code), *[("scored", {"m": {"pair": (x, "a"), "by": {x: (x,)}}}) for x in (1, 2)]
    ).result()
    assert complaints == []
    assert values["m,none"] == 3


def test_several_filters_are_aggregated_apart(task_of):
    collected = TaskAggregate(task_of())
    record = Record(task="toy", doc_id=0, status="scored", scores={"strict": {"acc": 0.0}, "loose": {"acc": 1.0}})
    collected.add(decode_record(encode_record(record)))
    values, _ = collected.result()
    assert (values["acc,strict"], values["acc,loose"]) == (0.0, 1.0)


# --- results.json and the table -----------------------------------------------------------------------------------


@pytest.fixture
def finish(tmp_path, task_of):
    def finish(*records, expected=4, rest=MEAN, code="", reason=None, status="complete"):
        task_of(rest, code)
        folder = RunFolder(tmp_path / "run")
        folder.start({})
        shard = folder.shard("main")
        for record in records:
            shard.write([record])
        return finish_run(
            folder,
            Expected(
                documents={"toy": range(expected)}, paths={"toy": tmp_path / "toy.yaml"}, reason_incomplete=reason
            ),
            RunConfig(model="dummy"),
            status=status,
        )

    return finish


def scored(doc_id, acc=1.0, **more):
    tokens = [TokenCounts(input_tokens=5, output_tokens=2)]
    return Record(
        task="toy", doc_id=doc_id, status="scored", scores={"none": {"acc": acc}}, token_counts=tokens, **more
    )


def test_results_json_has_the_keys_that_readers_of_lmms_eval_know(finish, tmp_path):
    finished = finish(*[scored(i) for i in range(4)])
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results == json.loads(json.dumps(finished.results))
    for key in ("results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config",
                "date", "throughput", "efficiency"):  # fmt: skip
        assert key in results
    assert results["n-samples"]["toy"] == {"original": 4, "effective": 4}
    assert results["config"]["resolved_cli_args"]["model"] == "dummy"
    assert results["results"]["toy"]["alias"] == "toy"
    assert results["efficiency"]["overall"]["tokens_per_correct_answer"] == 2.0
    assert results["efficiency"]["overall"]["avg_output_tokens_per_sample"] == 2.0
    assert results["efficiency"]["by_task"]["toy"]["total_output_tokens"] == 8
    assert {"total_gen_tokens", "total_elapsed_time", "avg_speed"} <= results["throughput"].keys()
    assert results["complete"] is True
    assert not math.isnan(results["results"]["toy"]["acc,none"])


def test_a_document_without_a_record_is_named_and_the_run_is_incomplete(finish, tmp_path):
    finished = finish(scored(0), scored(2))
    assert finished.lost == {"toy": [1, 3]}
    assert finished.results["status"] == "incomplete"
    assert finished.results["complete"] is False
    assert finished.results["counts"]["n_not_run"] == 2
    assert list((tmp_path / "run" / "shards").iterdir())  # kept: this run can go on


def test_a_selection_says_why_it_is_no_whole_benchmark(finish):
    finished = finish(*[scored(i) for i in range(4)], reason="limit 4, offset 0")
    assert finished.results["complete"] is False
    assert finished.results["incomplete_because"] == "limit 4, offset 0"


def test_errored_documents_are_listed_up_to_a_bound(finish):
    errors = [Record(task="toy", doc_id=i, status="error", error=f"lost {i}\nmore") for i in range(150)]
    finished = finish(*errors, expected=150)
    assert finished.num_errors == 150
    assert finished.results["counts"]["n_error"] == 150
    assert len(finished.results["error_documents"]) == 100
    assert finished.results["error_documents"][0] == {"task": "toy", "doc_id": 0, "error": "lost 0"}


def test_the_table_shows_value_error_and_counts(finish):
    records = [scored(0), scored(1, 0.0), Record(task="toy", doc_id=2, status="error", error="x"),
               Record(task="toy", doc_id=3, status="unparsed", scores={"none": {"acc": 0.0}})]  # fmt: skip
    lines = results_table(finish(*records).results)
    assert lines[0].split() == ["Task", "Metric", "Value", "±", "Error", "Docs", "Unparsed", "Errors"]
    assert lines[2].split() == ["toy", "acc", "↑", "0.3333", "0.3333", "3", "1", "1"]


def test_a_part_with_a_name_of_any_length_makes_the_table_no_wider_and_no_longer():
    values = {"alias": "toy", "n_scored": 1, "n_unparsed": 0, "n_filtered": 0, "n_error": 0, "m,none": 1.0}
    parts = {"m,none,sub_scores": {"word\nword " * 20_000: 1.0, "short": 0.5}}
    lines = results_table({"higher_is_better": {"toy": {"m": True}}, "results": {"toy": values | parts}})
    assert len(lines) == 5
    assert max(map(len, lines)) < 200
    assert "  word word word" in lines[3]
    assert "  short " in lines[4]


def test_the_table_shows_a_task_of_which_nothing_was_scored(finish):
    lines = results_table(finish(Record(task="toy", doc_id=0, status="error", error="x"), expected=1).results)
    assert "toy" in lines[2]
    assert "(no metric)" in lines[2]


def test_tokens_are_told_in_one_line_and_not_at_all_when_unknown(finish):
    assert "8 output tokens" in efficiency_line(finish(*[scored(i) for i in range(4)]).results)
