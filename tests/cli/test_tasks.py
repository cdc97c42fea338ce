"""`pytest-lmms tasks`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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


# --- tasks --------------------------------------------------------------------------------------------------------


def test_tasks_are_listed_with_their_files(run, mine):
    code, out, err = run("tasks", "list", "--include-path", mine)
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (code, err) == (0, "")
    assert lines["colours"] == str(mine / "colours.yaml")
    assert lines["mme"] == str(BENCHMARKS / "mme" / "mme.yaml")


def test_tasks_alone_lists_them_with_the_options_of_the_list(run, mine):
    assert run("tasks") == run("tasks", "list")
    assert json.loads(run("tasks", "--include-path", mine, "--json")[1])["colours"] == str(mine / "colours.yaml")
    code, _, err = run("tasks", "nope")
    assert code == 4
    assert "'list'" in err


def test_groups_name_their_members_and_subtasks_all_tasks_below(run, mine):
    groups = json.loads(run("tasks", "groups", "--include-path", mine, "--json")[1])
    subtasks = json.loads(run("tasks", "subtasks", "--include-path", mine, "--json")[1])
    assert groups["everything"] == ["inner", "mme"]
    assert subtasks["everything"] == ["colours", "mme"]
    assert subtasks["inner"] == ["colours"]


def test_tags_name_the_tasks_that_have_them(run, mine):
    code, out, _ = run("tasks", "tags", "--include-path", mine)
    assert code == 0
    assert ["simple", "colours"] in [line.split() for line in out.splitlines()]


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
    assert (code, out) == (4, "")
    assert str(tmp_path / "nowhere") in err


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
    assert (code, out) == (4, "")
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


@pytest.fixture
def committed(mine, monkeypatch):
    """The folder `mine`, as the only commit of a repository."""
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "a")
        monkeypatch.setenv(f"{name}_EMAIL", "a@example.org")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", mine, *words], check=True, capture_output=True)
    return mine


def test_inputs_are_compared_with_those_of_a_git_revision(run, committed):
    yaml = committed / "colours.yaml"
    assert run("tasks", "inputs", yaml, "--diff", "HEAD") == (0, "", "")
    yaml.write_text(TASK.replace("What colour", "Which colour"))
    (committed / "miniature" / "colours.jsonl").write_text('{"thing": "coal", "colour": "black"}\n' * 3)
    code, out, _ = run("tasks", "inputs", yaml, "--diff", "HEAD", "--limit", 1)
    assert code == 1
    assert "--- HEAD" in out
    assert "-    - What colour is snow?" in out
    assert "+    - Which colour is coal?" in out
    assert yaml.read_text() != TASK
    assert not subprocess.run(
        ["git", "-C", committed, "worktree", "prune", "-v"], check=True, capture_output=True
    ).stdout


def test_a_task_that_the_revision_lacks_is_all_new(run, committed):
    (committed / "shades.yaml").write_text(TASK.replace("colours", "shades"))
    (committed / "miniature" / "shades.jsonl").write_text('{"thing": "ash", "colour": "grey"}\n')
    code, out, _ = run("tasks", "inputs", committed / "shades.yaml", committed / "colours.yaml", "--diff", "HEAD")
    assert code == 1
    assert "+    - What colour is ash?" in out
    assert "snow" not in "".join(line for line in out.splitlines() if line[:1] in "+-")


def test_a_folder_stands_for_all_tasks_below_it(run, mine):
    out = run("tasks", "inputs", mine, "--limit", 1)[1]
    assert [line for line in out.splitlines() if line[:1].isalpha()] == ["colours:"]
    assert run("tasks", "check", mine)[1] == f"{mine / 'colours.yaml'}: fine\n"


def test_a_folder_without_tasks_is_refused(run, tmp_path):
    code, _, err = run("tasks", "inputs", tmp_path)
    assert code == 4
    assert "no tasks below this folder" in err


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
        (["mme", "--diff", "no-such-branch"], "no such revision"),
        (["mme", "--diff", "--output=x"], "--diff"),
        (["mme", "--limit", "1.5"], "1.5"),
        (["mme", "--limit", "nan"], "nan"),
    ],
)
def test_wrong_inputs_are_refused_by_name(run, arguments, said):
    code, out, err = run("tasks", "inputs", *arguments)
    assert (code, out) == (4, "")
    assert said in err


def test_a_document_that_cannot_be_rendered_writes_no_file(run, mine, tmp_path):
    (mine / "colours.yaml").write_text(TASK.replace("{{thing}}", "{{thing.name.first}}"))
    code, _, err = run("tasks", "inputs", mine / "colours.yaml", "--write", tmp_path / "out.yaml")
    assert code == 4
    assert "colours.yaml" in err
    assert not (tmp_path / "out.yaml").exists()
