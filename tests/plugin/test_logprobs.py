"""Tasks that compare log-probabilities, end to end: real weights, batches, workers, replay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from run_helpers import lab, timeless  # noqa: F401

from pytest_lmms import catalog
from tests.chat_server import Server

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
def toy(lab):  # noqa: F811
    """The lab with a task of multiple choice, and no model of its own."""
    (lab.path / "conftest.py").unlink()
    lab.task(ROWS, **CHOICE)
    return lab


@pytest.fixture
def choices(toy, checkpoint):
    """The same, with what asks the checkpoint."""
    return toy, ("--lmms-model", "huggingface", "--lmms-model-args", f"pretrained={checkpoint},device=cpu")


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


@pytest.fixture
def server():
    server = Server()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


def asking(server, name="openai", extra=""):
    return ("--lmms-model", name, "--lmms-model-args", f"model=m,api_key=k,base_url={server.url}{extra}")


WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")])


@WORKERS
def test_a_server_that_gives_none_is_found_out_before_documents_are_asked(toy, server, workers):
    server.logprob_of = None
    run = toy.run(*asking(server), *workers)
    assert run.code not in (0, 5), run
    assert "OpenAIChat gives no log-probabilities: m at http://127.0.0.1" in run.output
    assert "the server tells no log-probabilities of prompts" in run.output
    assert "task toy" in run.output
    assert not list(toy.path.glob("results/*"))
    assert {body["messages"][0]["content"] for _, _, body in server.requests} == {"Say yes."}


def test_an_api_that_never_gives_any_is_refused_without_being_asked(toy, server):
    run = toy.run(*asking(server, "azure_openai", ",api_version=1"))
    assert run.code not in (0, 5), run
    assert "AzureOpenAIChat gives no log-probabilities: chat APIs" in run.output
    assert not server.requests


@pytest.mark.parametrize("extra", ["--collect-only", "--lmms-dry-run"])
def test_a_server_is_not_asked_where_nothing_runs(toy, server, extra):
    run = toy.run(*asking(server), extra)
    assert run.code == 0, run
    assert not server.requests


@WORKERS
def test_a_server_that_gives_them_runs_tasks_that_compare_them(toy, server, workers):
    server.logprob_of = lambda token: -0.5 if token == " no" else -6.0
    run = toy.run(*asking(server), *workers)
    assert run.code == 0, run
    records = toy.records()
    assert [len(r["filtered_resps"]) for r in records] == [2 * len(row["options"]) for row in ROWS]
    assert all(r["filtered_resps"][1] == [-0.5, True] for r in records)
    assert all(r["filtered_resps"][0] == [-6.0, False] for r in records)
    assert toy.results["results"]["toy"]["acc,none"] == sum(row["answer"] == 1 for row in ROWS) / len(ROWS)


@pytest.mark.parametrize(
    ("folder", "task", "metric"),
    [("seedbench", "seedbench_ppl", "acc"), ("egoschema", "egoschema_subset_mcppl", "score")],
)
def test_benchmarks_that_compare_log_probabilities_run_against_a_server(lab, server, folder, task, metric):  # noqa: F811
    (lab.path / "conftest.py").unlink()
    (lab.path / "bench").symlink_to(catalog.folder("benchmarks") / folder)
    run = lab.run(*asking(server), "--lmms-data", "mini", "--lmms-tasks", task)
    assert run.code == 0, run
    records = lab.records(task)
    assert len(records) > 3
    assert all(r["status"] == "scored" for r in records)
    best = max(range(len(records[0]["filtered_resps"])), key=lambda n: records[0]["filtered_resps"][n][0])
    assert records[0]["filtered_resps"][best][0] < 0
    assert f"{metric},none" in lab.results["results"][task]


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
