"""Config files: what is read, and what is refused with file and line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_lmms.config import BY_NAME
from pytest_lmms.configfile import find_file, read_entries, settings_of_results, to_yaml
from pytest_lmms.errors import UsageError
from pytest_lmms.masks import MASK
from pytest_lmms.settings import settings_of
from pytest_lmms.spellings import BY_SPELLING


@pytest.fixture
def read(tmp_path):
    def read(text, name="exp.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_entries(path)

    return read


def refused(read, text):
    with pytest.raises(UsageError) as caught:
        read(text)
    return str(caught.value)


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_mapping_is_one_run_and_knows_its_lines(read):
    (entry,) = read("# a run\nmodel: dummy\n\nlimit: 3\n")
    assert entry.values == {"model": "dummy", "limit": 3}
    assert entry.where("limit").endswith("exp.yaml:4")
    assert (entry.label, entry.env) == ("", {})


def test_runs_of_a_list_are_named_after_their_models(read):
    entries = read("- model: a/b\n- model: twice\n- model: twice\n- limit: 1\n")
    assert [e.label for e in entries] == ["a_b", "twice_2", "twice_3", "run_4"]
    assert [e.position for e in entries] == [1, 2, 3, 4]
    assert entries[2].where("model").endswith(":3")


def test_runs_are_told_apart_whatever_their_models_are_called(read):
    entries = read("- model: a\n- model: a\n- model: a_1\n")
    assert len({e.label for e in entries}) == 3


def test_variables_are_texts_as_written(read):
    (entry,) = read('env:\n  A: yes\n  B: 007\n  C: "1"\n  D: 1.50\nmodel: dummy\n')
    assert entry.env == {"A": "yes", "B": "007", "C": "1", "D": "1.50"}
    assert "env" not in entry.values


def test_an_anchor_is_shared_by_runs(read):
    first, second = read("- &base\n  model: a\n  tasks: mme\n- <<: *base\n  model: b\n")
    assert first.values == {"model": "a", "tasks": "mme"}
    assert second.values == {"model": "b", "tasks": "mme"}


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("", "is empty", None),
        ("# nothing\n", "is empty", None),
        ("just a word\n", "holds no run", 1),
        ("[]\n", "holds no run", 1),
        ("- model: dummy\n- mme\n", "entry 2 of the list is no mapping", 2),
        ("- model: dummy\n-\n", "entry 2 of the list is no mapping", 2),
        ("model: dummy\n tasks: mme\n", "does not parse", 2),
        ("model: dummy\ntasks: a\nmodel: other\n", "'model' is given twice, first in line 1", 3),
        ("model_args: &a\n  inner: *a\n", "this anchor holds itself", 1),
        ("- &a [*a]\n", "this anchor holds itself", 1),
        ("model: !!python/object:os.system x\n", "does not parse", 1),
        ("model: 2026-99-99\n", "does not parse", 1),
        ("env: [A]\nmodel: x\n", "env is no mapping", 1),
        ("model: x\nenv:\n  A: [1]\n", "env: A is no text", 3),
        ("env:\n  A:\n", "env: A is no text", 2),
        ("env:\n  2A: x\n", "'2A' is no name of a variable", 2),
        ("? [a]\n: 1\n", "a key that is no name", 1),
        (b"model: x\ntasks: \xff\n", "not UTF-8", 2),
        ("model: x\nsystem_instruction: \x1b[31m\n", "U+001B is no character of YAML", 2),
        ("model: \u00e9\u00e9\u00e9\ntasks: \x00\n", "U+0000 is no character of YAML", 2),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(read, text, said, line):
    message = refused(read, text)
    assert said in message
    assert f"exp.yaml:{line}:" in message if line else "exp.yaml:" in message


def test_aliases_that_multiply_are_refused(read):
    lines = ["model_args:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 8)]
    assert "aliases followed" in refused(read, "\n".join(lines))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.yaml"):
        find_file("nowhere.yaml", tmp_path)
    with pytest.raises(UsageError, match=f"{tmp_path.name}: this is a folder"):
        find_file(tmp_path.name, tmp_path.parent)
    with pytest.raises(UsageError, match="cannot read"):
        read_entries(tmp_path)


def test_a_number_behind_a_hash_sign_names_an_entry_unless_the_file_is_called_so(tmp_path):
    (tmp_path / "a.yaml").write_text("x")
    assert find_file("a.yaml#2", tmp_path) == (tmp_path / "a.yaml", 2)
    (tmp_path / "a.yaml#2").write_text("x")
    assert find_file("a.yaml#2", tmp_path) == (tmp_path / "a.yaml#2", None)


def test_examples_are_found_from_any_folder(tmp_path):
    path, _ = find_file("configs/example_local.yaml", tmp_path)
    assert path.is_file()


# --- the variables of a run ---------------------------------------------------------------------------------------


def test_a_variable_may_use_those_above_it_and_itself(read):
    (entry,) = read('env:\n  HOME2: "~/x"\n  BELOW: "${HOME2}/y"\n  PATH: "/mine:${PATH}"\nmodel: dummy\n')
    found = entry.environment({"PATH": "/bin"})
    home = os.path.expanduser("~")
    assert found == {"HOME2": f"{home}/x", "BELOW": f"{home}/x/y", "PATH": "/mine:/bin"}


def test_an_unset_variable_of_the_environment_is_told_at_its_own_line(read):
    (entry,) = read("model: dummy\nenv:\n  A: x\n  B: ${LMMS_NOT_SET}\n")
    with pytest.raises(UsageError, match=r"exp\.yaml:4: the variable LMMS_NOT_SET is not set"):
        entry.environment({})


# --- a run as a config file ---------------------------------------------------------------------------------------


def results(**changes):
    resolved = {"model": "openai", "model_args": {"api_key": MASK, "model": "m"}, "seed": 0, "resume": "x",
                "env": {"A_TOKEN": MASK, "B": "${B:-1}"}} | changes  # fmt: skip
    sources = dict.fromkeys(["model", "model_args", "resume"], "--x")
    return {"config": {"resolved_cli_args": resolved, "setting_sources": sources}}


def test_a_run_says_what_was_chosen_and_where_its_secrets_come_from():
    values, env = settings_of_results(results())
    assert values == {"model": "openai", "model_args": {"api_key": "${API_KEY}", "model": "m"}}
    assert env == {"A_TOKEN": "${A_TOKEN}", "B": "${B:-1}"}


def test_a_results_file_is_read_as_the_run_that_made_it(read):
    (entry,) = read(json.dumps(results()), "results.json")
    assert entry.values["model"] == "openai"
    assert entry.env["B"] == "${B:-1}"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), c, max_size=3),
    max_leaves=6,
)
FILES = st.one_of(
    st.text(alphabet="abe:-[]{}&*!<#'\"\n\t $~%@|>0.", max_size=60),
    st.binary(max_size=40).map(lambda b: b.decode("latin-1")),
    st.dictionaries(st.sampled_from(["env", *BY_NAME, *BY_SPELLING]), VALUES, max_size=3).map(yaml.safe_dump),
    st.lists(VALUES, max_size=3).map(yaml.safe_dump),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES)
def test_whatever_a_file_holds_it_is_read_or_refused_by_name(tmp_path, text):
    path = tmp_path / "exp.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    said = "exp.yaml"
    try:
        for entry in read_entries(path):
            settings_of(entry, entry.environment({}))
    except UsageError as e:
        said = str(e)
    assert "exp.yaml" in said


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"config": {"resolved_cli_args": {}}}'])
def test_a_json_file_that_is_no_run_is_refused(read, text):
    with pytest.raises(UsageError, match=r"results\.json: no config\.resolved_cli_args"):
        read(text, "results.json")


def test_written_settings_are_read_again(read):
    values = {
        "model": "a",
        "tasks": "mme,b",
        "limit": 3.0,
        "seed": "42,42",
        "system_instruction": "a: b\n# no",
        "x": None,
    }
    env = {"A": "1", "B": "${C:-~/d}"}
    (entry,) = read(to_yaml(values, env, comment="first\nsecond"))
    assert (entry.values, entry.env) == (values, env)


def test_files_lie_where_the_package_says():
    for path in (Path(__file__).parents[1] / "configs").glob("*.yaml"):
        assert read_entries(path)
