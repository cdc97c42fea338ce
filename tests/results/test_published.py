"""Scores that others published, beside a run."""

from __future__ import annotations

import functools
from urllib.parse import urlsplit

import pytest

from pytest_lmms import catalog
from pytest_lmms.errors import UsageError
from pytest_lmms.results.published import beside, lines, read_published
from pytest_lmms.results.runs import Metric, read_run
from pytest_lmms.scoring.build import metric_entries
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task
from tests.results.run_files import write_run

PUBLISHED = list(read_published())


@pytest.fixture
def published(tmp_path):
    """`published(value=0.5, prompt=...)`: one published score of task `t`, as read from a file."""

    def published(text=None, value=0.75, **settings):
        folder = tmp_path / "published"
        folder.mkdir()
        entry = f"- {{task: t, metric: acc, value: {value}, model: M, source: 'https://e.org', settings: {settings}}}"
        (folder / "t.yaml").write_text(entry if text is None else text)
        return read_published(folder)

    return published


@pytest.fixture
def run(tmp_path):
    """`run(model_args, generation_kwargs, **counts)`: a run of task `t`, half of it right."""

    def run(model_args=None, generation_kwargs=None, model="qwen2_5_vl", rows=None):
        config = {"model": model, "model_args": model_args or {}, "resolved_cli_args": {}}
        configs = {"generation_kwargs": generation_kwargs or {}}
        return read_run(write_run(tmp_path / "run", {"t": [1, 0]}, config=config, configs=configs, samples=rows or {}))

    return run


def told(run, published):
    (found,) = beside(run, published)
    return found, "\n".join(lines(found))


def test_the_settings_that_differ_are_named_with_both_values(run, published):
    ours = run({"max_pixels": 100, "max_num_frames": 8}, {"until": ["\n"], "max_new_tokens": 16})
    found, text = told(ours, published(max_pixels=200, frames=8, stop=[], max_new_tokens=16))
    assert {n for n, (*_, verdict) in found.settings.items() if verdict == "differs"} == {"max_pixels", "stop"}
    assert "differs: max_pixels: run 100, published 200" in text
    assert r"differs: stop: run ['\n'], published []" in text
    assert "same: frames, max_new_tokens" in text
    assert "run 0.5000, published 0.7500 (M)  difference -0.2500" in text


def test_arguments_that_lmms_eval_wrote_as_one_text_are_read(run, published):
    found, _ = told(run("pretrained=Qwen/Q,max_pixels=200"), published(max_pixels=200, checkpoint="Qwen/Q"))
    assert [found.settings[name][2] for name in ("checkpoint", "max_pixels")] == ["same", "same"]


def test_what_the_adapter_takes_by_default_is_compared_too(run, published):
    found, _ = told(run(), published(max_pixels=1605632, system_prompt="Be brief."))
    assert found.settings["max_pixels"] == (1605632, 1605632, "same")
    assert found.settings["system_prompt"] == ("Be brief.", "You are a helpful assistant.", "differs")


def test_a_setting_that_the_source_does_not_state_is_neither_same_nor_different(run, published):
    found, text = told(run({"max_num_frames": 8}), published())
    assert found.settings["frames"] == (None, 8, "unknown")
    assert "same: nothing that is known" in text
    assert "not stated there" in text


def test_a_setting_that_nobody_knows_of_the_run_is_told_as_such(run, published):
    found, text = told(run(model="my_own_model"), published(max_pixels=200))
    assert found.settings["max_pixels"] == (200, None, "unknown")
    assert "the adapter's own in this run: max_pixels (published 200)" in text


def test_a_prompt_is_looked_for_in_every_question(run, published):
    found, _ = told(run(rows={"input": "What is it?\nAnswer briefly."}), published(prompt="Answer with a letter."))
    assert found.settings["prompt"] == ("Answer with a letter.", "Answer briefly.", "differs")


def test_a_checkpoint_is_known_by_its_name_wherever_it_lies(run, published):
    found, _ = told(
        run({"pretrained": "/data/Qwen2.5-VL-7B-Instruct/"}), published(checkpoint="Qwen/Qwen2.5-VL-7B-Instruct")
    )
    assert found.settings["checkpoint"][2] == "same"


def test_scores_of_the_runs_own_checkpoint_come_first(run, published):
    of = "- {{task: t, metric: acc, value: 1, model: {0}, source: 'https://e.org', settings: {{checkpoint: {0}}}}}\n"
    found = beside(run({"pretrained": "B"}), published(of.format("A") + of.format("B")))
    assert [each.published.model for each in found] == ["B", "A"]


def test_a_metric_that_the_run_lacks_is_said_to_be_missing(run, published):
    entry = "- {task: t, metric: judged, value: 1, model: M, source: 'https://e.org', settings: {}}"
    found, text = told(run(), published(entry))
    assert found.value is None
    assert "run not in this run" in text


WITH_AN_UNKNOWN_SETTING = "- {task: t, metric: a, value: 1, model: M, source: s, settings: {pixels: 3}}"


@pytest.mark.parametrize("text", ["- {task: t}", "just: a mapping", "[", WITH_AN_UNKNOWN_SETTING])
def test_a_file_of_another_form_is_refused_by_name(published, text):
    with pytest.raises(UsageError, match=r"t\.yaml"):
        list(published(text))


@functools.cache
def catalogue():
    return index_tasks([catalog.folder("benchmarks")])


@pytest.mark.parametrize("score", PUBLISHED, ids=lambda s: f"{s.metric}-{s.model}")
def test_every_published_score_is_of_a_metric_of_ours_and_says_where_it_is_from(score):
    index = catalogue()
    task = score.metric.task
    if task in index.groups:
        assert score.metric.name in {metric.metric for metric in index.groups[task].metrics}
    task = index.expand([task], where="")[0] if task in index.groups else index.tasks[task]
    assert score.metric.name in {entry.name for entry in metric_entries(load_task(task))}
    assert urlsplit(score.source).scheme == "https"
    assert score.value > 0


@pytest.mark.parametrize(
    "score",
    [s for s in PUBLISHED if "lmms-eval" in s.source and "prompt" in s.settings],
    ids=lambda s: f"{s.metric}-{s.model}",
)
def test_prompts_of_scores_that_lmms_eval_measured_are_those_that_we_ask_with(score):
    task = load_task(catalogue().tasks[score.metric.task])
    assert score.settings["prompt"] in task.render_text(task.open_rows("mini").document(0))


@pytest.fixture
def run_of_group(tmp_path):
    """`run_of_group({"a": 5, "b": 5})`: a run of group `t` with these members, and how many examples each showed."""

    def run_of_group(shots):
        counts = {name: {"alias": name, "acc,none": 0.5, "n_expected": 10} for name in shots}
        return read_run(
            write_run(
                tmp_path / "run", {name: [1, 0] for name in shots}, groups={"t": {"alias": "t", "acc,none": 0.5}},
                group_subtasks={"t": list(shots)}, results=counts, **{"n-shot": shots},
            )
        )  # fmt: skip

    return run_of_group


def test_a_group_ran_with_what_all_its_members_ran_with(run_of_group, published):
    found, _ = told(run_of_group({"a": 5, "b": 5}), published(num_fewshot=5, documents=20))
    assert [found.settings[name][2] for name in ("num_fewshot", "documents")] == ["same", "same"]


def test_what_members_of_a_group_differ_in_is_not_known_of_the_group(run_of_group, published):
    found, _ = told(run_of_group({"a": 5, "b": 0}), published(num_fewshot=5))
    assert found.settings["num_fewshot"] == (5, None, "unknown")


def test_a_metric_of_another_filter_is_not_taken_for_the_published_one(run, published):
    entry = "- {task: t, metric: 'acc,strict', value: 1, model: M, source: 'https://e.org', settings: {}}"
    found, _ = told(run(), published(entry))
    assert found.published.metric == Metric("t", "acc", "strict")
    assert found.value is None
