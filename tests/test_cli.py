"""The command `pytest-lmms`: its entry as a process, everything else in this one."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_lmms import stats
from pytest_lmms.cli import main
from pytest_lmms.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"

TASK = """\
task: colours
tag: simple
dataset_path: json
test_split: test
output_type: generate_until
doc_to_text: "What colour is {{thing}}?"
doc_to_target: "{{colour}}"
lmms_eval_specific_kwargs:
  default: {}
"""


@pytest.fixture
def mine(tmp_path):
    """A folder with a task that has a miniature, and a group with a group."""
    (tmp_path / "miniature").mkdir()
    (tmp_path / "colours.yaml").write_text(TASK)
    row = {"thing": "snow", "colour": "white"}
    (tmp_path / "miniature" / "colours.jsonl").write_text(f"{json.dumps(row)}\n" * 3)
    (tmp_path / "all.yaml").write_text("group: everything\ntask:\n  - group: inner\n    task: [colours]\n  - mme\n")
    return tmp_path


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


# --- the entry ----------------------------------------------------------------------------------------------------


def process(*arguments, code=None):
    start = ["-c", code] if code else ["-m", "pytest_lmms"]
    command = [sys.executable, *start, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)


def test_the_module_runs_as_a_program():
    done = process("version")
    assert (done.returncode, done.stdout.strip()) == (0, version("pytest-lmms"))


@pytest.mark.parametrize("command", [["tasks", "list"], ["tasks", "subtasks"], ["models"], ["power"], ["version"]])
def test_no_list_imports_a_heavy_library(command):
    code = (
        "import sys; from pytest_lmms.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print(*{n.split('.')[0] for n in sys.modules}, file=sys.stderr)"
    )
    done = process(*command, code=code)
    assert done.returncode == 0, done.stderr
    assert not {"torch", "transformers", "datasets", "pytest", "openai", "av"} & set(done.stderr.split())


def test_a_reader_that_leaves_early_is_no_error():
    code = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); from pytest_lmms.cli import main\n"
    done = process(code=code + "sys.exit(main(['tasks', 'inputs', 'mme']))")
    assert (done.returncode, done.stderr) == (0, "")


# --- tasks --------------------------------------------------------------------------------------------------------


def test_tasks_are_listed_with_their_files(run, mine):
    code, out, err = run("tasks", "list", "--include-path", mine)
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (code, err) == (0, "")
    assert lines["colours"] == str(mine / "colours.yaml")
    assert lines["mme"] == str(BENCHMARKS / "mme" / "mme.yaml")


def test_groups_name_their_members_and_subtasks_all_tasks_below(run, mine):
    groups = json.loads(run("tasks", "groups", "--include-path", mine, "--json")[1])
    subtasks = json.loads(run("tasks", "subtasks", "--include-path", mine, "--json")[1])
    assert groups["everything"] == ["inner", "mme"]
    assert subtasks["everything"] == ["colours", "mme"]
    assert subtasks["inner"] == ["colours"]


def test_tags_name_the_tasks_that_have_them(run, mine):
    code, out, _ = run("tasks", "tags", "--include-path", mine)
    assert (code, out.split()) == (0, ["simple", "colours"])


@pytest.mark.parametrize("what", ["list", "subtasks"])
def test_a_broken_file_is_told_beside_the_others_and_changes_the_exit_code(run, mine, what):
    (mine / "broken.yaml").write_text("task: broken\ninclude: nowhere.yaml\ndataset_path: x\n")
    (mine / "group.yaml").write_text("group: lost\ntask: [nobody]\n")
    code, out, err = run("tasks", what, "--include-path", mine, "--json")
    assert code == 1
    assert json.loads(out).keys() >= ({"colours", "mme"} if what == "list" else {"everything"})
    assert "nowhere.yaml" in err
    assert ("nobody" in err) == (what == "subtasks")


def test_a_task_that_is_defined_twice_is_told(run, mine):
    (mine / "other.yaml").write_text(TASK)
    code, _, err = run("tasks", "list", "--include-path", mine)
    assert code == 1
    assert "colours" in err
    assert str(mine / "other.yaml") in err


def test_a_missing_folder_is_a_wrong_argument(run, tmp_path):
    code, out, err = run("tasks", "list", "--include-path", tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert str(tmp_path / "nowhere") in err


@pytest.mark.parametrize("arguments", [[], ["tasks"], ["tasks", "lists"], ["power", "--effect", "big"]])
def test_a_command_line_that_says_nothing_shows_the_usage(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: pytest-lmms")


# --- tasks inputs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["name", "path"])
def test_inputs_show_what_is_asked(run, mine, by):
    names = ["colours", "--include-path", mine] if by == "name" else [mine / "colours.yaml"]
    code, out, _ = run("tasks", "inputs", *names, "--limit", 2)
    assert code == 0
    assert out.count("What colour is snow?") == 2


def test_a_group_by_name_stands_for_its_tasks(run):
    out = run("tasks", "inputs", "mmmu", "--limit", 1)[1]
    assert [line for line in out.splitlines() if line[:1].isalpha()] == ["mmmu_val:", "mmmu_test:"]


def test_a_task_without_a_miniature_is_refused(run, mine):
    (mine / "miniature" / "colours.jsonl").unlink()
    code, out, err = run("tasks", "inputs", mine / "colours.yaml")
    assert (code, out) == (2, "")
    assert "has no miniature" in err


def test_written_inputs_differ_from_nothing_until_a_prompt_changes(run, mine, tmp_path):
    spec = tmp_path / "specs" / "mine.yaml"
    assert run("tasks", "inputs", mine / "colours.yaml", "--write", spec)[:2] == (0, "")
    assert run("tasks", "inputs", mine / "colours.yaml", "--diff", spec) == (0, "", "")
    (mine / "colours.yaml").write_text(TASK.replace("What colour", "Which colour"))
    code, out, _ = run("tasks", "inputs", mine / "colours.yaml", "--diff", spec)
    assert code == 1
    assert "-    - What colour is snow?" in out
    assert "+    - Which colour is snow?" in out


def test_a_model_by_any_of_its_names_gets_its_own_variant_of_the_prompt(run, mine):
    (mine / "colours.yaml").write_text(
        "lmms_eval_specific_kwargs:\n  default: {end: ''}\n  qwen2_5_vl: {end: ' One word.'}\n"
        + TASK.split("lmms_eval", maxsplit=1)[0].replace(
            'doc_to_text: "What colour is {{thing}}?"', "doc_to_text: !function own.text"
        )
    )
    (mine / "own.py").write_text(
        "def text(doc, lmms_eval_specific_kwargs):\n    return 'Q' + lmms_eval_specific_kwargs['end']\n"
    )
    plain, own, alias = (
        run("tasks", "inputs", mine / "colours.yaml", *more)[1]
        for more in ([], ["--model", "qwen2_5_vl"], ["--model", "qwen2_5_vl_chat"])
    )
    assert "One word." not in plain
    assert "Q One word." in own
    assert alias == own


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mmee"], "did you mean: mme?"),
        (["nowhere.yaml"], "nowhere.yaml"),
        (["mme", "--model", "qwen2_5_vll"], "did you mean: qwen2_5_vl?"),
        (["mme", "--diff", "nowhere.yaml"], "--diff nowhere.yaml"),
        (["mme", "--limit", "1.5"], "1.5"),
        (["mme", "--limit", "nan"], "nan"),
    ],
)
def test_wrong_inputs_are_refused_by_name(run, arguments, said):
    code, out, err = run("tasks", "inputs", *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_a_document_that_cannot_be_rendered_writes_no_file(run, mine, tmp_path):
    (mine / "colours.yaml").write_text(TASK.replace("{{thing}}", "{{thing.name.first}}"))
    code, _, err = run("tasks", "inputs", mine / "colours.yaml", "--write", tmp_path / "out.yaml")
    assert code == 2
    assert "colours.yaml" in err
    assert not (tmp_path / "out.yaml").exists()


# --- models and power ---------------------------------------------------------------------------------------------


def test_models_are_listed_with_their_other_names(run):
    found = {entry["name"]: entry["aliases"] for entry in json.loads(run("models", "--json")[1])}
    assert list(found) == MODELS.names()
    assert "hf" in found["huggingface"]
    assert "hf" in run("models")[1]


def test_power_tells_how_many_documents_are_needed(run):
    code, out, _ = run("power")
    assert code == 0
    assert out.startswith("2181 documents")


def test_power_passes_every_parameter_on(run):
    flags = {"effect": 0.1, "alpha": 0.01, "power": 0.9, "correlation": 0.3, "std_a": 0.4, "std_b": 0.2}
    arguments = [a for name, value in flags.items() for a in (f"--{name.replace('_', '-')}", value)]
    out = json.loads(run("power", *arguments, "--num-documents", 100, "--json")[1])
    assert out.items() >= flags.items()
    effect, power = flags.pop("effect"), flags.pop("power")
    assert out["documents_needed"] == stats.sample_size(effect, power=power, **flags)
    assert out["power_now"] == stats.power(100, effect, **flags)
    assert out["minimum_detectable_effect"] == stats.minimum_detectable_effect(100, power=power, **flags)


@pytest.mark.parametrize("wrong", [["--alpha", 2], ["--correlation", 1], ["--num-documents", 0], ["--effect", "nan"]])
def test_power_refuses_a_number_out_of_range(run, wrong):
    code, out, err = run("power", *wrong)
    assert (code, out) == (2, "")
    assert wrong[0].strip("-").replace("-", "_") in err
