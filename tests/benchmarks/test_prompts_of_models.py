"""Words that a prompt has for one model: each task has those that lmms-eval gives it, not those of its neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.render import Task

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ONE_WORD = "\nAnswer the question using a single word or phrase."


def prompt(file: str, model: str) -> str:
    task = load_task(BENCHMARKS / file)
    assert isinstance(task, Task)
    return task.bind(model_names=(model,)).render_text(task.open_rows("mini").document(0))


@pytest.mark.parametrize(
    ("file", "model", "end"),
    [
        ("docvqa/docvqa_val.yaml", "qwen_vl", " Answer:"),
        ("textvqa/textvqa_val.yaml", "plm", "\nProvide a short and direct response."),
        ("textvqa/textvqa_val_lite.yaml", "qwen_vl", " Answer:"),
        ("ok_vqa/ok_vqa_val2014.yaml", "plm", "\nRespond with one word."),
        ("vqav2/vqav2_val.yaml", "plm", "?"),
        ("tempcompass/tempcompass_multi_choice.yaml", "plm", "\nOnly give the best option."),
        ("tempcompass/tempcompass_caption_matching.yaml", "plm", "\nOnly give the best option."),
        ("tempcompass/tempcompass_yes_no.yaml", "plm", "\nOnly answer yes or no."),
        ("videomme/videomme_w_subtitle.yaml", "qwen3_vl", "\nAnswer with the option letter only."),
    ],
)
def test_a_model_with_words_of_its_own_is_asked_in_them(file: str, model: str, end: str) -> None:
    assert prompt(file, model).endswith(end)
    assert not prompt(file, "another").endswith(end)


@pytest.mark.parametrize(
    ("file", "model", "end"),
    [
        ("infovqa/infovqa_val.yaml", "qwen_vl", ONE_WORD),
        ("textvqa/textvqa_val_lite.yaml", "plm", ONE_WORD),
        ("ok_vqa/ok_vqa_val2014_lite.yaml", "plm", ONE_WORD),
        ("vqav2/vqav2_val_lite.yaml", "plm", ONE_WORD),
        ("videomme/videomme_long.yaml", "qwen3_vl", "\nThe best answer is:"),
        ("videomme/videomme_long_w_subtitle.yaml", "qwen3_vl", "\nThe best answer is:"),
    ],
)
def test_a_model_without_words_of_its_own_is_asked_as_all_others(file: str, model: str, end: str) -> None:
    assert prompt(file, model) == prompt(file, "another")
    assert prompt(file, model).endswith(end)


def test_mathvistas_hidden_split_has_no_prompt_of_its_own_for_a_model() -> None:
    assert prompt("mathvista/mathvista_test.yaml", "phi3v") == prompt("mathvista/mathvista_test.yaml", "another")
    assert prompt("mathvista/mathvista_testmini_cot.yaml", "phi3v") != prompt(
        "mathvista/mathvista_testmini_cot.yaml", "another"
    )
