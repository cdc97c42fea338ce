"""What a task's YAML makes of its scorer, where lmms-eval's own rules are easy to miss."""

from pytest_lmms.records import Response
from pytest_lmms.scoring.build import MetricEntry, aggregate, build_scorer
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS
from pytest_lmms.scoring.score import score
from pytest_lmms.tasks.load import load_task

MINIMAL = (
    "task: toy\ndataset_path: json\ntest_split: train\ndoc_to_text: q\nmetric_list: [{metric: m, aggregation: mean}]\n"
)


def toy(tmp_path, utils, more=""):
    (tmp_path / "utils.py").write_text(utils)
    path = tmp_path / "toy.yaml"
    path.write_text(MINIMAL + "process_results: !function utils.score\n" + more)
    return load_task(path)


def test_full_docs_reach_process_results_and_are_read_once(tmp_path):
    calls = []

    def full_docs():
        calls.append(1)
        return [{"q": 1}, {"q": 2}]

    task = toy(
        tmp_path, "def score(doc, results, full_docs=None):\n    return {'m': len(full_docs)}\n", "full_docs: true\n"
    )
    scorer = build_scorer(task, reasoning_tags=DEFAULT_TAGS, full_docs=full_docs)
    assert not calls
    assert [score(scorer, {"q": 1}, [Response(text="x")]).scores["none"]["m"] for _ in range(2)] == [2, 2]
    assert len(calls) == 1


def test_rounds_reach_process_results_as_one_list(tmp_path):
    task = toy(
        tmp_path,
        "def score(doc, results):\n    return {'m': isinstance(results[0], list) and len(results[0])}\n",
        "output_type: generate_until_multi_round\n",
    )
    scorer = build_scorer(task, reasoning_tags=DEFAULT_TAGS)
    outcome = score(scorer, {"q": 1}, [Response(text="b")], spoken=[("a", "b")])
    assert outcome.scores["none"]["m"] == 2


def test_auto_strip_thinking_reaches_filters_that_keep_their_thoughts(tmp_path):
    task = toy(tmp_path, "def score(doc, results):\n    return {'m': results[0]}\n", "auto_strip_thinking: true\n")
    scorer = build_scorer(task, reasoning_tags=())
    assert score(scorer, {"q": 1}, [Response(text="<think>no</think>yes")]).scores["none"]["m"] == "yes"


def test_args_are_given_by_name_only_where_an_aggregation_has_them():
    def by_keyword(items, *, args):
        return len(items) + args

    def with_another_option(items, scale=10):
        return len(items) * scale

    assert aggregate(MetricEntry("m", by_keyword, "by_keyword", None), [1, 2], 5) == 7
    assert aggregate(MetricEntry("m", with_another_option, "with_another_option", None), [1, 2], 5) == 20
