"""Tasks that compare log-probabilities, end to end: real weights, batches, workers, replay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from run_helpers import lab, timeless  # noqa: F401

from pytest_lmms import catalog

pytest.importorskip("torch")

ROWS = [
    {"question": q, "options": ["yes", "no", "a red square"][: 2 + i % 2], "answer": i % 2}
    for i, q in enumerate(["is it red?", "is the square right?", "A or B?", "what is shown?", "yes?"])
]
METRICS = [{"metric": name} for name in ("acc", "acc_norm", "acc_mutual_info")]
CHOICE = {"output_type": "multiple_choice", "doc_to_choice": "options", "metric_list": METRICS}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    tiny_models = catalog.import_file(Path(__file__).parents[1] / "tiny_models.py")
    return tiny_models.save_tiny_qwen2_5_vl(tmp_path_factory.mktemp("tiny_qwen2_5_vl"))


@pytest.fixture
def choices(lab, checkpoint):  # noqa: F811
    """The lab with a task of multiple choice, and what asks the checkpoint."""
    (lab.path / "conftest.py").unlink()
    lab.task(ROWS, **CHOICE)
    arguments = ("--lmms-model", "huggingface", "--lmms-model-args", f"pretrained={checkpoint},device=cpu")
    return lab, arguments


def numbers(records):
    return [number for record in records for number, _ in record.get("resps", record["filtered_resps"])]


def test_batches_and_workers_do_not_change_log_probabilities(choices):
    lab, arguments = choices  # noqa: F811
    found = []
    for more in (("--lmms-batch-size", "1"), ("--lmms-batch-size", "4"), ("--lmms-batch-size", "4", "-n", "2")):
        run = lab.run(*arguments, *more)
        assert run.code == 0, run
        found.append((lab.results, lab.records()))
        shutil.rmtree(lab.path / "results")
    (first, records), (batched, batched_records), (workers, worker_records) = found
    assert len(numbers(records)) == 2 * sum(len(row["options"]) for row in ROWS)
    assert numbers(batched_records) == pytest.approx(numbers(records), abs=1e-4)
    assert timeless(worker_records) == timeless(batched_records)
    assert workers["results"] == batched["results"]
    for metric in ("acc", "acc_norm", "acc_mutual_info"):
        assert first["results"]["toy"][f"{metric},none"] == batched["results"]["toy"][f"{metric},none"]
    assert first["counts"]["n_scored"] == len(ROWS)


def test_a_log_of_log_probabilities_gives_the_same_scores_again(choices):
    lab, arguments = choices  # noqa: F811
    assert lab.run(*arguments).code == 0
    first, records, log = lab.results, lab.records(), lab.path / "log"
    lab.run_path.rename(log)
    run = lab.run("--lmms-model", "from_log", "--lmms-model-args", f"logs={log}")
    assert run.code == 0, run
    assert numbers(lab.records()) == numbers(records)
    assert lab.results["results"]["toy"]["acc,none"] == first["results"]["toy"]["acc,none"]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_chat_api_is_refused_before_anything_is_asked(choices, workers):
    lab, _ = choices  # noqa: F811
    arguments = "model=m,api_key=k,base_url=http://127.0.0.1:9/v1"
    run = lab.run("--lmms-model", "openai", "--lmms-model-args", arguments, *workers)
    assert run.code not in (0, 5), run
    assert "gives no log-probabilities: chat APIs" in run.output
    assert "task toy" in run.output
    assert not list(lab.path.glob("results/*"))


def test_a_model_that_draws_nothing_is_refused_for_visual_thoughts(run, write_task, pytester):
    write_task(pytester.path / "bench", "toy", 2, output_type="generate_visual_cot")
    outcome = run("bench")
    assert outcome.ret == 2
    outcome.stdout.fnmatch_lines(["*task toy: * draws no pictures*"])


def test_the_dummy_chooses_what_it_says(run, write_task, results_of, pytester):
    write_task(pytester.path / "bench", "toy", ROWS, **CHOICE)
    assert run("bench", "--lmms-model-args", "response=no").ret == 0
    gold = sum(row["answer"] == 1 for row in ROWS)
    assert results_of()["results"]["toy"]["acc,none"] == pytest.approx(gold / len(ROWS))
    json.dumps(results_of())
