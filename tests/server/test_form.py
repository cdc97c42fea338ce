"""Requests as commands and config files, and back."""

from __future__ import annotations

import shlex

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lmms import catalog
from pytest_lmms.errors import UsageError
from pytest_lmms.model_args import parse_model_args
from pytest_lmms.server.form import MAX_YAML, arguments_of, arguments_text, catalogue, preview, request_of
from pytest_lmms.server.policy import Policy, plan
from pytest_lmms.server.schema import EvaluateRequest
from pytest_lmms.tasks.index import index_tasks


@pytest.fixture(scope="module")
def tasks():
    return index_tasks([catalog.folder("benchmarks")])


@pytest.fixture(scope="module")
def previewed(tasks):
    def make(**fields):
        request = EvaluateRequest(**{"model": "dummy", "tasks": ["mme"], **fields})
        return preview(plan(request, Policy(output_roots=()), tasks, {}))

    return make


plain_text = st.text(
    st.characters(codec="utf-8", exclude_characters="'\"[]{}()\n\r$/~.\\", exclude_categories=("C", "Z"))
)
values = st.one_of(
    st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6, allow_nan=False), st.booleans(), st.none(), plain_text,
    st.lists(st.integers(), max_size=3),
)  # fmt: skip


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), values, max_size=4))
@settings(max_examples=200, deadline=None)
def test_arguments_in_one_text_are_read_back_as_they_were(arguments):
    assert parse_model_args(arguments_text(arguments)) == arguments


REQUESTS = [
    {},
    {"model_args": {"response": "yes, or no"}, "limit": 8, "batch_size": 4, "num_fewshot": 2},
    {"tasks": ["mme", "mmmu_val"], "gen_kwargs": {"max_new_tokens": 16, "until": ["\n"]}, "log_samples": False},
    {"settings": {"data": "mini", "fail_under": "mme_perception_score=900", "seed": 3, "parquet": True}},
    {
        "settings": {
            "gates": [{"metric": "mme_perception_score", "fail_under": 900}],
            "reasoning_tags": [["<a>", "</a>"]],
        }
    },
    {"env": {"HF_TOKEN": "${HF_TOKEN:-none}"}, "limit": 0.5, "batch_size": "auto"},
    {"settings": {"system_instruction": 'Be brief: yes, no, or "I don\'t know" # äöü\nsecond line'}},
]


@pytest.mark.parametrize("fields", REQUESTS)
def test_a_config_file_comes_back_as_the_request_that_it_was_made_of(previewed, fields):
    text = previewed(**fields)["yaml"]
    again = request_of(text)
    assert previewed(**again)["yaml"] == text
    expected = {"model": "dummy", "tasks": ["mme"], **fields}
    assert again == expected


def test_a_secret_is_exported_as_its_variable_and_never_given_back(previewed):
    said = previewed(model="openai", model_args={"api_key": "sk-canary"}, env={"OPENAI_API_KEY": "sk-canary"})
    assert "sk-canary" not in said["yaml"] + said["command"]
    assert "${API_KEY}" in said["yaml"]
    assert request_of(said["yaml"])["env"] == {"OPENAI_API_KEY": "${OPENAI_API_KEY}"}


@pytest.mark.parametrize("fields", REQUESTS[:4])
def test_the_command_says_what_the_config_file_says(previewed, fields, pytestconfig):
    said = previewed(**fields)
    words = shlex.split(said["command"])
    assert words[0] == "pytest"
    parsed = pytestconfig._parser.parse_known_args(words[1:])
    for name, value in yaml.safe_load(said["yaml"]).items():
        if name not in {"model_args", "gen_kwargs", "tasks"}:
            assert str(getattr(parsed, f"lmms_{name}")).lower() == str(value).lower()


def test_lmms_evals_spellings_can_be_imported():
    found = request_of(
        "model: dummy\nmodel_args: response=B,batch_size=2\ntasks: mme, mmmu_val\ngen_kwargs: temperature=0\n"
    )
    assert found == {
        "model": "dummy", "model_args": {"response": "B", "batch_size": 2}, "tasks": ["mme", "mmmu_val"],
        "gen_kwargs": {"temperature": 0},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"), ("- model: a\n- model: b\n", "2 runs"), ("model: [", "imported.yaml:"),
        ("model: dummy\noutput_path: /etc\n", "imported.yaml:2"), ("model: !!python/object:os.system x\n", "imported"),
        ("x" * (MAX_YAML + 1), "too long"), ("a: &a [*a]\n", "imported"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_a_job_is_refused_with_the_line(text, said):
    with pytest.raises(UsageError, match=said):
        request_of(text)


def test_the_arguments_of_a_model_have_defaults_and_explanations():
    found = {a["name"]: a for a in arguments_of("dummy")}
    assert found["response"]["default"] == "A"
    assert "answer" in found["response"]["help"].lower()


def test_a_form_offers_everything_that_a_job_may_name(tasks):
    found = catalogue(Policy(output_roots=()), tasks)
    assert "mme" in found["tasks"]
    assert "safety_redteam" in found["groups"]
    assert {"name", "help", "kind", "metavar"} == found["settings"][0].keys()
    assert "qwen2_5_vl" in {m["name"] for m in found["models"]}
