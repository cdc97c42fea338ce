"""Weaknesses of the harness that people come from, each with the test of ours that would fail if we had it.

Most are kept where their room is tested, and the table says where; those that no room owns are below it.
"""

from __future__ import annotations

import ast
import functools
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.plugin.run_helpers import timeless

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
HERE = "faults/test_peers_weaknesses.py::"
FAILURES = "faults/test_peers_failures.py::"
# fmt: off
KEPT_BY = {
    # time
    "help and lists import torch": ["cli/test_entry.py::no_list_imports_a_heavy_library"],
    "each start parses every task's YAML again": ["tasks/test_index.py::what_has_not_changed_is_not_read_again"],
    "media of one document are decoded several times": [
        "plugin/test_videos.py::a_video_of_a_miniature_reaches_the_model_and_is_decoded_once",
        "media/test_video.py::documents_in_flight_share_one_decode"],
    "images are encoded on the event loop, and again although the dataset holds them encoded": [
        "models/test_openai.py::the_event_loop_stays_free_while_media_are_opened",
        "media/test_encode.py::equal_images_are_encoded_once_wherever_they_come_from"],
    "preparing does not overlap with generating": ["inference/test_engine.py::preparation_runs_ahead_on_other_threads"],
    "a video is decoded up to the last frame wanted": [
        "media/test_video.py::few_frames_of_an_indexed_file_are_few_packets"],
    "documents are scored one after the other, judges included, when all is generated": [
        HERE + "a_document_is_scored_before_the_last_is_asked"],
    "writing down grows with the square of the documents": [
        "results/test_store.py::ten_thousand_records_of_20_kb_are_merged_in_less_than_150_mb"],
    "weights load before names, data and keys are checked": [
        "plugin/test_errors.py::a_wrong_field_is_told_with_file_and_line_before_the_model_is_built",
        "plugin/test_judge.py::a_wrong_judge_is_told_before_anything_runs"],
    # what is done, and what is right
    "exit code 0 whatever happened": [
        FAILURES + "a_dead_endpoint_makes_errors_and_no_score_and_the_next_run_heals",
        "server/test_serve.py::a_run_that_cannot_start_is_a_failed_job_with_the_reason"],
    "results and caches are written when everything is done": [
        FAILURES + "a_task_finished_before_the_run_is_killed_is_kept",
        "test_evaluate.py::every_record_is_written_before_anybody_hears_of_it"],
    "failed requests and those over the budget are scored and cached": [
        "plugin/test_remote_models.py::requests_that_fail_are_errors_and_never_scores",
        "plugin/test_remote_models.py::a_spent_budget_ends_the_run_and_keeps_what_is_done",
        "inference/test_engine.py::an_error_never_enters_the_store"],
    "a fraction as limit becomes the first task's number for all": [HERE + "a_fraction_is_taken_of_each_task"],
    "documents are padded and out of order with several processes": [
        "plugin/test_distribution.py::two_workers_leave_the_same_results_and_records_as_one_process",
        "results/test_store.py::records_of_all_workers_come_in_document_order"],
    "a scorer that raises is called again and again": [HERE + "a_scorer_that_raises_is_called_once"],
    "downloads are tried again and hide the first cause": [
        "plugin/test_errors.py::a_dataset_neither_cached_nor_reachable_is_one_error_a_task_and_not_retried"],
    "hashes of documents are one constant, results hold addresses in memory": [
        FAILURES + "a_documents_hash_is_its_own_and_the_same_in_every_run",
        HERE + "results_of_two_runs_are_equal_and_hold_no_address_in_memory"],
    "settings are silently ignored": [
        "plugin/test_errors.py::a_setting_that_the_model_would_ignore_is_an_error_when_typed",
        "plugin/test_errors.py::model_arguments_are_checked_before_the_model_is_built"],
    "a stop string that nobody wrote": [
        "tasks/test_render.py::a_task_without_settings_is_asked_greedily_and_no_stop_string_is_added"],
    "thoughts are stripped after filters, raw text is lost, lines of several filters look alike": [
        "scoring/test_score.py::thoughts_are_gone_before_filters_look",
        "test_evaluate.py::a_document_that_goes_well_is_scored_and_keeps_raw_and_stripped_text",
        "results/test_samples.py::several_filters_give_a_line_each_that_names_its_filter"],
    "figures of stability are never computed": ["plugin/test_language.py::repeats_give_figures_of_stability"],
    "baselines are compared whatever was asked": [
        "results/test_compare.py::runs_that_asked_something_else_are_not_compared"],
    "a clustered error is the root of a negative number": [
        "stats/test_stats.py::the_clustered_error_is_never_negative_nor_not_a_number"],
    "a clustered error is printed for next to no task": [
        HERE + "a_task_with_a_cluster_key_says_how_sure_it_is",
        HERE + "questions_about_one_video_are_a_cluster_in_video_mme"],
    "tests that nothing runs": [HERE + "all_tests_run_before_a_change_goes_in"],
    "a group takes tasks whose names begin like its own": [HERE + "a_group_takes_its_members_and_not_their_namesakes"],
    "what cannot be read is guessed at random": [HERE + "no_benchmark_draws_at_random"],
    "a judge that fails gives a score of 0": [
        "plugin/test_judge.py::a_reply_that_is_no_verdict_is_an_error_and_never_a_score",
        "plugin/test_judge.py::a_provider_that_refuses_to_judge_is_an_error"],
    "a batch of several tasks is asked in the words of the first": [
        "models/test_transformers_chat.py::a_mixed_batch_gives_the_texts_of_one_request_at_a_time"],
    "flags that do nothing": ["test_spellings.py::a_flag_has_exactly_one_meaning"],
    "importing has effects, and runs of a list share an environment": [
        "test_architecture.py::every_module_imports_alone",
        "test_architecture.py::the_plugin_costs_nothing_in_a_project_without_documents"],
    "another spelling of a model's name changes prompts": [
        "tasks/test_render.py::an_alias_of_the_model_chooses_its_section"],
    # who may do what
    "text that a model wrote is evaluated": [
        FAILURES + "what_a_model_writes_is_never_evaluated",
        "faults/test_hostile_input.py::no_source_builds_objects_from_bytes_or_runs_text"],
    "archives and pickles of strangers are trusted, scripts of datasets run": [
        "tasks/test_archives.py::", "faults/test_hostile_input.py::a_checkpoint_that_is_a_pickle_runs_nothing",
        "faults/test_hostile_input.py::a_script_that_comes_with_a_dataset_does_not_run"],
    "listing tasks runs their code": ["tasks/test_load.py::loading_imports_no_code_of_the_task"],
    "pages of any origin may start processes, nobody is asked who they are": [
        "server/test_app.py::pages_of_other_sites_do_not_reach_it",
        "server/test_serve.py::other_machines_need_a_token",
        "server/test_app.py::a_token_opens_everything_and_nothing_but_health_is_open_without"],
    "keys lie in caches, logs and results": [
        FAILURES + "a_key_is_in_no_store",
        "faults/test_secrets.py::a_key_among_the_models_arguments_shows_nowhere",
        "server/test_serve.py::keys_of_a_job_show_in_no_listing_log_or_file"],
}
# fmt: on


@functools.cache
def names_of_tests(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    functions = (n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return {name.removeprefix("test_") for name in functions if name.startswith("test_")}


@pytest.mark.parametrize("weakness", KEPT_BY)
def test_a_weakness_has_the_tests_that_the_table_names(weakness):
    for node in KEPT_BY[weakness]:
        path, _, name = node.partition("::")
        found = names_of_tests(path)
        assert found if not name else name in found, node


RAISING = """
from pathlib import Path

def process_results(doc, results):
    if results[0] == "A":  # the model's, neither gold nor nothing, which are tried before the run
        with (Path(__file__).parent / "scored").open("a") as file:
            file.write(doc["question"] + "\\n")
        if doc["question"] == "q1":
            raise KeyError("gold")
    return {"exact_match": 0.0}
"""
CLUSTERED = """
def process_results(doc, results):
    return {"exact_match": {"score": float(results[0] == doc["answer"]), "video": doc["question"][:2]}}

def average(items):
    return sum(item["score"] for item in items) / len(items)
"""


def rows_of_gold_b(number):
    return [{"question": f"q{i}", "answer": "B"} for i in range(number)]


def test_a_scorer_that_raises_is_called_once(lab):
    lab.task(rows_of_gold_b(3), code=RAISING, process_results="!function utils.process_results")
    run = lab.run()
    assert run.code == 1, run
    assert sorted((lab.path / "bench" / "scored").read_text().split()) == ["q0", "q1", "q2"]


def test_a_document_is_scored_before_the_last_is_asked(lab):
    lab.task(rows_of_gold_b(200), code=RAISING, process_results="!function utils.process_results")
    lab.plan(seconds=0.02)
    process = lab.start()
    lab.wait_until_asked(100)
    scored = len((lab.path / "bench" / "scored").read_text().split())
    asked = sum(lab.asked().values())
    lab.plan()
    assert lab.finish(process).code == 1
    assert asked < 200, "nothing was seen of the run while it went on"
    assert scored > 0


def test_a_fraction_is_taken_of_each_task(lab):
    lab.task(4)
    lab.task(20, name="other")
    assert lab.run("--lmms-limit", "0.5").code == 0
    assert (len(lab.records()), len(lab.records("other"))) == (2, 10)


def test_results_of_two_runs_are_equal_and_hold_no_address_in_memory(lab):
    code = "def text(doc):\n    return doc['question']\n"
    lab.task(5, code=code, doc_to_text="!function utils.text")
    found = []
    for _ in range(2):
        assert lab.run().code == 0
        assert " at 0x" not in (lab.run_path / "results.json").read_text()
        assert " at 0x" not in (lab.run_path / "run.json").read_text()
        found.append(timeless(lab.results))
    assert found[0] == found[1]


def test_a_task_with_a_cluster_key_says_how_sure_it_is(lab):
    rows = [{"question": f"q{i // 5}-{i}", "answer": "AB"[i // 5 % 2]} for i in range(20)]
    metric = {"metric": "exact_match", "aggregation": "!function utils.average", "higher_is_better": True}
    lab.task(
        rows, code=CLUSTERED, process_results="!function utils.process_results", metric_list=[metric],
        score_key="score", cluster_key="video",
    )  # fmt: skip
    run = lab.run()
    assert run.code == 0, run
    result = lab.results["results"]["toy"]
    assert result["exact_match_stderr_clustered,none"] > 1.5 * result["exact_match_stderr_clt,none"]
    assert lab.results["configs"]["toy"]["cluster_key"] == "video"


def test_questions_about_one_video_are_a_cluster_in_video_mme(lab):
    shutil.copytree(ROOT / "benchmarks" / "videomme", lab.path / "bench")
    run = lab.run("bench/videomme.yaml", "--lmms-model", "dummy")
    assert run.code == 0, run
    result = lab.results["results"]["videomme"]
    clustered = [v for name, v in result.items() if "_stderr_clustered," in name]
    assert clustered
    assert all(isinstance(v, float) for v in clustered)


def test_a_group_takes_its_members_and_not_their_namesakes(lab):
    lab.task([{"question": "q", "answer": a} for a in "AAB"])
    lab.task([{"question": "q", "answer": "B"}] * 3, name="toy_hard")
    group = {"group": "one", "task": ["toy"], "aggregate_metric_list": [{"metric": "exact_match"}]}
    (lab.path / "bench" / "one.yaml").write_text(yaml.dump(group))
    run = lab.run()
    assert run.code == 0, run
    assert lab.results["group_subtasks"]["one"] == ["toy"]
    assert lab.results["groups"]["one"]["exact_match,none"] == pytest.approx(2 / 3)


def test_no_benchmark_draws_at_random():
    """Tools that made rows may, with a seed; what reads an answer may not."""
    drawing = []
    for path in sorted((ROOT / "benchmarks").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if text.startswith(("random.", "np.random.", "numpy.random.", "secrets.")):
                seeded = text in ("random.Random", "np.random.default_rng") and isinstance(node, ast.Call) and node.args
                drawing += [] if seeded else [f"{path.relative_to(ROOT)}:{node.lineno}: {text}"]
    assert not drawing


def test_all_tests_run_before_a_change_goes_in():
    """The script that a change must pass calls every target that runs tests, that of this very file among them."""
    script = (ROOT / ".ci" / "run").read_text()
    targets = set(re.findall(r"^(test[a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets >= {"test", "test-faults", "test-slow", "test-ray"}
    run = {name for name in targets if re.search(rf"^make {name}\b(?!-)", script, re.MULTILINE)}
    # One needs an environment of several gigabytes, the other further interpreters, which the workflow has.
    assert targets - run == {"test-vllm", "test-python"}
    assert "make test-python" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()
