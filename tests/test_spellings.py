"""lmms-eval's flags: each is an option, always so, or refused with a reason."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from pytest_lmms.config import BY_NAME
from pytest_lmms.errors import UsageError
from pytest_lmms.spellings import BY_SPELLING, SPELLINGS, translate

V0_7 = """
config model tasks model_args launcher_args num_fewshot batch_size max_batch_size device output_path limit offset
use_cache cache_requests check_integrity write_out log_samples wandb_log_samples log_samples_suffix system_instruction
apply_chat_template fewshot_as_multiturn show_config include_path gen_kwargs reasoning_tags verbosity wandb_args
timezone hf_hub_log_args predict_only seed trust_remote_code process_with_media agentic_trace_mode force_simple tui
repeats num_samples baseline max_tokens power_analysis effect_size alpha power correlation std_a std_b
"""
"""Every flag of `eval` in lmms-eval v0.7."""
OPTIONS = frozenset(BY_NAME)


def test_every_flag_is_in_the_table_once():
    assert sorted(s.name for s in SPELLINGS) == sorted(V0_7.split())


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda s: s.name)
def test_a_flag_has_exactly_one_meaning(spelling):
    meanings = [spelling.ours, spelling.refused, spelling.ignored, spelling.model_argument]
    assert sum(m is not None for m in meanings) == 1
    if spelling.refused or spelling.ignored:
        assert len((spelling.refused or spelling.ignored).split()) > 3, "a reason is a sentence"


@pytest.mark.parametrize("spelling", [s for s in SPELLINGS if s.ours], ids=lambda s: s.name)
def test_a_flag_with_a_counterpart_becomes_it_or_says_that_there_is_none(spelling):
    words = [f"--{spelling.name}", "1"] if spelling.takes_value else [f"--{spelling.name}"]
    if spelling.ours not in OPTIONS:
        with pytest.raises(UsageError, match="no counterpart yet"):
            translate(words, options=OPTIONS)
        return
    (word,), _ = translate(words, options=OPTIONS)
    assert word.partition("=")[0] == BY_NAME[spelling.ours].option
    assert (BY_NAME[spelling.ours].kind == "flag") == (not spelling.takes_value)


@pytest.mark.parametrize("spelling", [s for s in SPELLINGS if s.refused], ids=lambda s: s.name)
def test_a_refused_flag_says_why(spelling):
    with pytest.raises(UsageError) as caught:
        translate([f"--{spelling.name}", *(["x"] if spelling.takes_value else [])], options=OPTIONS)
    assert str(caught.value).startswith(f"--{spelling.name}: ")
    assert spelling.refused in str(caught.value)


@pytest.mark.parametrize("spelling", [s for s in SPELLINGS if s.ignored], ids=lambda s: s.name)
def test_an_ignored_flag_is_told(spelling):
    words, (notice,) = translate([f"--{spelling.name}", *(["x"] if spelling.takes_value else [])], options=OPTIONS)
    assert words == []
    assert spelling.ignored in notice


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("--model dummy --tasks mme", "--lmms-model=dummy --lmms-tasks=mme"),
        ("--model=dummy --model-args a=1,b=c=d", "--lmms-model=dummy --lmms-model-args=a=1,b=c=d"),
        ("-b 4 -n 2 -x -k color", "--lmms-batch-size=4 -n 2 -x -k color"),
        ("--limit 0.5 --include_path my", "--lmms-limit=0.5 --lmms-task-paths=my"),
        ("--limit -1", "--lmms-limit=-1"),
        ("--log_samples --num_samples 3", "--lmms-log-samples --lmms-repeats=3"),
        ("--device cuda:0", "--lmms-model-args=device=cuda:0"),
        ("--device cpu --model_args pretrained=x", "--lmms-model-args=pretrained=x,device=cpu"),
        ("--model_args device=cpu --device cuda", "--lmms-model-args=device=cpu"),
        ("--agentic_trace_mode full", "--lmms-agentic-trace-mode=full"),
        ("--wandb_args project=a,name=b", "--lmms-log-to=wandb:project=a,name=b"),
        ("--tasks list", "--lmms-list=tasks"),
        ("--tasks list_groups", "--lmms-list=groups"),
        ("--verbosity=2 --lmms-data mini bench", "--verbosity=2 --lmms-data mini bench"),
    ],
)
def test_a_command_line_is_translated(typed, expected):
    assert translate(shlex.split(typed), options=OPTIONS)[0] == shlex.split(expected)


def meaning(spelling):
    if spelling.ours in BY_NAME:
        return f"`{BY_NAME[spelling.ours].option}`" + f", as `{spelling.prefix}...`" * bool(spelling.prefix)
    if spelling.model_argument:
        return f"the model's argument `{spelling.model_argument}`"
    if spelling.ignored:
        return f"nothing to do: {spelling.ignored}"
    return f"refused: {spelling.refused or 'no counterpart yet'}"


def test_the_documentation_tells_every_flag():
    lines = [f"| `--{s.name}` | {meaning(s)} |" for s in SPELLINGS]
    text = (Path(__file__).resolve().parents[1] / "docs" / "flags.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("| `--")] == lines


def test_a_flag_without_its_value_is_refused():
    with pytest.raises(UsageError, match="--model: a value is missing"):
        translate(["--model"], options=OPTIONS)


def test_names_of_flags_and_of_options_that_are_alike_mean_the_same():
    for name in BY_SPELLING.keys() & BY_NAME.keys():
        assert BY_SPELLING[name].ours == name
