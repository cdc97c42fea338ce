"""From what was said, and where, to the settings of a run."""

from __future__ import annotations

import json
import re

import pytest

from pytest_lmms.config import BY_NAME, OPTIONS
from pytest_lmms.configfile import read_entries
from pytest_lmms.errors import UsageError
from pytest_lmms.settings import read_config, settings_of
from pytest_lmms.spellings import SPELLINGS


class Said:
    """What `read_config` uses of a pytest config: typed options and ini values."""

    def __init__(self, typed, ini):
        self.typed, self.ini = typed, ini

    def getoption(self, name):
        return self.typed.get(name.removeprefix("lmms_"))

    def getini(self, name):
        return self.ini.get(name.removeprefix("lmms_"))


@pytest.fixture
def settings(tmp_path):
    def settings(text="", typed=None, ini=None):
        path = tmp_path / "exp.yaml"
        path.write_text(text)
        entry = read_entries(path)[0] if text else None
        return read_config(Said(typed or {}, ini or {}), entry)

    return settings


@pytest.fixture
def complaint(settings):
    def complaint(text):
        with pytest.raises(UsageError) as caught:
            settings(text)
        return str(caught.value)

    return complaint


# --- priority -----------------------------------------------------------------------------------------------------


def test_defaults_give_way_to_ini_ini_to_file_and_file_to_the_command_line(settings):
    ini = {"batch_size": "2", "offset": "2", "repeats": "2"}
    found = settings("batch_size: 3\noffset: 3\n", typed={"batch_size": "4"}, ini=ini)
    assert (found.batch_size, found.offset, found.repeats, found.seed) == (4, 3, 2, 0)
    assert found.sources["batch_size"] == "--lmms-batch-size"
    assert found.sources["offset"].endswith("exp.yaml:2")
    assert found.sources["repeats"] == "ini lmms_repeats"
    assert "seed" not in found.sources


def test_a_typed_value_wins_also_when_it_is_the_default(settings):
    assert settings("batch_size: 8\nlimit: 3\n", typed={"batch_size": "1", "limit": "-1"}).batch_size == 1
    assert settings("limit: 3\n", typed={"limit": "-1"}).limit is None
    assert settings("log_samples: false\n", typed={"log_samples": True}).log_samples is True


def test_null_in_the_file_is_the_default_whatever_the_ini_says(settings):
    assert settings("limit: null\n", ini={"limit": "3"}).limit is None


# --- forms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("tasks: 'mme,mmmu_val'", "tasks", "mme,mmmu_val"),
        ("tasks: [mme, mmmu_val]", "tasks", "mme,mmmu_val"),
        ("model_args: 'pretrained=a/b,max_pixels=12,device_map=auto'", "model_args",
         {"pretrained": "a/b", "max_pixels": 12, "device_map": "auto"}),
        ("model_args: {pretrained: a/b, max_pixels: 12, nested: [1, {a: b}]}", "model_args",
         {"pretrained": "a/b", "max_pixels": 12, "nested": [1, {"a": "b"}]}),
        ("gen_kwargs: {temperature: 0.5}", "gen_kwargs", {"temperature": 0.5}),
        ("gen_kwargs: temperature=0", "gen_kwargs", {"temperature": 0}),
        ("seed: '42,42,42,42'", "seed", 42),
        ("seed: '0,1234,1234,1234'", "seed", 1234),
        ("seed: [7, 7, 7]", "seed", 7),
        ("seed: 5", "seed", 5),
        ("limit: 0.25", "limit", 0.25),
        ("limit: 10", "limit", 10),
        ("limit: -1", "limit", None),
        ("batch_size: auto", "batch_size", "auto"),
        ("log_samples: no", "log_samples", False),
        ("log_samples: 'true'", "log_samples", True),
        ("max_errors: 1%", "max_errors", (1.0, True)),
        ("max_errors: 3", "max_errors", (3.0, False)),
        ("reasoning_tags: none", "reasoning_tags", ()),
        ("reasoning_tags: false", "reasoning_tags", ()),
        ("reasoning_tags: [['<a>', '</a>']]", "reasoning_tags", (("<a>", "</a>"),)),
        ("shard: 3/8", "shard", (3, 8)),
        ("fail_under: [acc=0.5, other=1]", "fail_under", "acc=0.5,other=1"),
        ("fail_on_regression: 2%", "fail_on_regression", "2%"),
        ("fail_on_regression: true", "fail_on_regression", BY_NAME["fail_on_regression"].const),
        ("resume: true", "resume", BY_NAME["resume"].const),
        ("wandb_args: project=a,name=b", "log_to", "wandb:project=a,name=b"),
        ("wandb_args: {project: a, name: b}", "log_to", "wandb:project=a,name=b"),
        ("wandb_args: ''", "log_to", None),
        ("include_path: mine", "task_paths", "mine"),
        ("num_samples: 3", "repeats", 3),
    ],
)  # fmt: skip
def test_a_value_may_have_every_form_that_people_write(settings, text, name, expected):
    assert getattr(settings(text), name) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limit: [1]", "limit is a list"),
        ("limit: many", "'many' is no limit"),
        ("limit: 1.5", "no limit"),
        ("batch_size: 0", "'0' is no batch size"),
        ("batch_size: {a: 1}", "batch_size is a mapping"),
        ("model: no", "model is yes or no"),
        ("model: [a, b]", "model is a list"),
        ("model: 2026-01-01", "model is a date"),
        ("log_samples: 3", "log_samples is a number"),
        ("log_samples: maybe", "expected: true or false"),
        ("tasks: {a: b}", "tasks is a mapping"),
        ("tasks: []", "tasks is an empty list"),
        ("tasks: [a, [b]]", "entry 2 of tasks is a list"),
        ("tasks: [a, ~]", "entry 2 of tasks is empty"),
        ("model_args: [a]", "model_args is a list"),
        ("model_args: pretrained", "cannot read 'pretrained'"),
        ("model_args: {1: 2}", "1 is no name"),
        ("gen_kwargs: temperature", "exp.yaml:2: cannot read 'temperature'"),
        ("time_limit: .nan", "more than 0 seconds"),
        ("timeout: .inf", "a year at most"),
        ("save_baseline: ../main", "'../main' is no name of a baseline"),
        ("save_baseline: ''", "'' is no name of a baseline"),
        ("seed: '0,1,2,3'", "no seed"),
        ("data: most", "expected: one of full, mini"),
        ("repeats: 2\nnum_samples: 3", "keep one"),
    ],
)
def test_a_wrong_value_is_told_with_file_and_line(complaint, text, said):
    message = complaint("# one\n" + text)
    assert said in message
    assert re.search(r"exp\.yaml:[23]: ", message)


def test_unknown_keys_are_listed_with_their_lines_and_what_was_meant(complaint):
    message = complaint("modle: dummy\ntasks: mme\ntaks: mme\nzzz: 1\n")
    assert "exp.yaml:1: 'modle', did you mean: model?" in message
    assert "exp.yaml:3: 'taks', did you mean: tasks?" in message
    assert "exp.yaml:4: 'zzz'\n" in message
    expected = message.partition("expected: keys among ")[2].split(", ")
    assert {"batch_size", "env", "model", "tasks"} <= set(expected)
    assert not {"config", "list"} & set(expected)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("--lmms-limit", "limit"),
        ("lmms_batch_size", "batch_size"),
        ("Batch-Size", "batch_size"),
        ("genkwargs", "gen_kwargs"),
    ],
)
def test_a_key_spelled_as_an_option_is_understood_in_the_error(complaint, written, meant):
    assert f"exp.yaml:1: {written!r}, did you mean: {meant}?" in complaint(f"{written}: 3\n")


def test_keys_that_yaml_takes_for_something_else_are_told_as_written_with_their_line(complaint):
    message = complaint("model: dummy\nyes: 1\n~: 2\n3: 3\n")
    for line, key in enumerate(["yes", "~", "3"], 2):
        assert f"exp.yaml:{line}: {key!r}" in message


def test_no_key_is_suggested_that_does_nothing(complaint):
    assert "did you mean" not in complaint("config: other.yaml\n")


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda s: s.name)
def test_every_key_of_lmms_eval_is_taken_ignored_or_refused_by_name(settings, complaint, spelling):
    if spelling.refused:
        message = complaint(f"model: dummy\n{spelling.name}: x\n")
        assert "exp.yaml:2:" in message
        assert spelling.refused in message
    elif spelling.ignored:
        assert spelling.ignored in settings(f"{spelling.name}: true\n").notices[0]
    elif spelling.model_argument:
        assert settings(f"{spelling.name}: cpu\n").model_args == {spelling.model_argument: "cpu"}
    elif spelling.ours not in BY_NAME or spelling.ours == "config":
        assert f"'{spelling.name}'" in complaint(f"{spelling.name}: x\n")
    else:
        assert spelling.prefix or spelling.ours in settings(f"{spelling.name}: null\n").sources


@pytest.mark.parametrize("name", ["cache_requests", "launcher_args"])
def test_a_refused_key_that_asks_for_nothing_passes(settings, name):
    assert settings(f"{name}: null\n").notices == ()


def test_a_device_joins_the_arguments_of_the_model_that_win(settings):
    text = "device: cpu\nmodel_args: {a: 1}\n"
    assert settings(text).model_args == {"device": "cpu", "a": 1}
    assert settings(text, typed={"model_args": "b=2"}).model_args == {"device": "cpu", "b": 2}
    assert settings("device: cpu\nmodel_args: 'device=cuda'\n").model_args == {"device": "cuda"}


def test_gates_are_spelled_as_in_a_task(settings):
    text = """gates:
- {metric: acc, fail_under: 0.8}
- {task: mme, metric: score, filter: none, fail_under: 900, fail_on_regression: 1pt and p<0.05}
- fail_on_regression: 2%
"""
    found = settings(text)
    assert found.fail_under == "acc=0.8,mme/score@none=900"
    assert found.fail_on_regression == "mme/score@none:1pt and p<0.05,2%"
    assert settings("gates: {metric: acc, fail_under: 1}\n").fail_under == "acc=1"
    assert settings("gates: null\n").fail_under is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gates: [acc]", "'acc' is no gate"),
        ("gates: {metric: acc}", "is no gate"),
        ("gates: {metric: , fail_under: 1}", "is no gate"),
        ("gates: {fail_under: 1}", "is no gate"),
        ("gates: {metric: acc, fail_over: 1}", "is no gate"),
        ("gates: {metric: acc, fail_under: 1}\nfail_under: x=1", "gates and fail_under are both given"),
    ],
)
def test_a_wrong_gate_is_told_with_its_line(complaint, text, said):
    message = complaint("model: x\n" + text)
    assert said in message
    assert "exp.yaml:2:" in message


# --- variables and secrets ----------------------------------------------------------------------------------------


def test_variables_are_filled_in_everywhere_and_kept_as_written(settings, monkeypatch):
    monkeypatch.setenv("LMMS_T", "mme")
    monkeypatch.setenv("LMMS_N", "3")
    found = settings("tasks: '${LMMS_T},x'\nlimit: '${LMMS_N}'\nmodel_args: 'n=${LMMS_N},p=${LMMS_P:-a,b}'\n")
    assert (found.tasks, found.limit) == ("mme,x", 3)
    assert found.model_args == {"n": 3, "p": "a,b"}
    resolved = found.resolved()
    assert (resolved["tasks"], resolved["limit"]) == ("${LMMS_T},x", "${LMMS_N}")
    assert resolved["model_args"] == "n=${LMMS_N},p=${LMMS_P:-a,b}"


def test_a_secret_argument_is_used_and_not_told(settings, monkeypatch):
    monkeypatch.setenv("LMMS_K", "007")
    for text in ("model_args: 'api_key=sk-1,model=m'\n", "model_args: {api_key: sk-1, model: m}\n"):
        found = settings(text)
        assert found.model_args["api_key"] == "sk-1"
        assert found.resolved()["model_args"] == {"api_key": "********", "model": "m"}
    found = settings("model_args: 'api_key=${LMMS_K}'\n")
    assert found.model_args["api_key"] == "007"
    assert found.resolved()["model_args"] == {"api_key": "${LMMS_K}"}


def test_variables_that_are_not_set_are_told_with_line(complaint):
    assert "exp.yaml:2: the variable LMMS_NOT_SET is not set" in complaint("model: x\ntasks: ${LMMS_NOT_SET}\n")


# --- and back -----------------------------------------------------------------------------------------------------

SAMPLES = {
    "model": "m", "model_args": "a=1,b='x,y'", "tasks": "a,b", "data": "mini", "limit": "7", "offset": "2",
    "batch_size": "4", "gen_kwargs": "temperature=0.5", "seed": "3", "num_fewshot": "1", "fewshot_as_multiturn": True,
    "system_instruction": "be: brief # not", "repeats": "2", "reasoning_tags": '[["<a>", "</a>"]]', "output_path": "o",
    "log_samples": False, "max_errors": "2.5%", "timeout": "1.5", "replicas_per_device": "2", "task_paths": "t,u",
    "shard": "2/3", "subset": "5", "fail_under": "a=1",
}  # fmt: skip


def test_what_was_resolved_says_the_same_when_it_is_read_again(settings, tmp_path):
    found = settings(typed=SAMPLES)
    results = {"config": {"resolved_cli_args": found.resolved(), "setting_sources": found.sources}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    (entry,) = read_entries(tmp_path / "results.json")
    again = settings_of(entry, {})
    assert again.values == {name: getattr(found, name) for name in SAMPLES}


def test_every_option_has_a_form():
    assert {o.form for o in OPTIONS} == {"scalar", "list", "mapping", "json"}
