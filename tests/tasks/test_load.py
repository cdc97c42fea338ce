"""A task YAML, its includes and functions; a group's YAML gives its tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lmms.errors import TaskError
from pytest_lmms.tasks.candidates import is_candidate, yaml_files
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.yamlfile import read_merged

MINIMAL = "task: toy\ndataset_path: json\ntest_split: train\n"


def write(folder: Path, **files: str) -> Path:
    """Write `name.yaml` (or `name.py` for names that start with py_) for each argument."""
    for name, text in files.items():
        if name.startswith("py_"):
            (folder / f"{name[3:]}.py").write_text(text)
        else:
            (folder / f"{name}.yaml").write_text(text)
    return folder / "toy.yaml"


# --- include ------------------------------------------------------------------------------------------------------


def test_own_keys_win_over_included_ones(tmp_path):
    path = write(tmp_path, toy="include: base.yaml\nrepeats: 3\n" + MINIMAL, base="repeats: 2\nnum_fewshot: 5\n")
    spec = load_task(path).spec
    assert (spec.repeats, spec.num_fewshot) == (3, 5)


def test_of_a_list_of_includes_earlier_ones_win(tmp_path):
    toy = "include: [a.yaml, b.yaml]\n" + MINIMAL
    path = write(tmp_path, toy=toy, a="repeats: 2\n", b="repeats: 4\nnum_fewshot: 1\n")
    spec = load_task(path).spec
    assert (spec.repeats, spec.num_fewshot) == (2, 1)


def test_includes_nest_and_replace_whole_values(tmp_path):
    path = write(
        tmp_path,
        toy="include: a.yaml\ngeneration_kwargs: {temperature: 0}\n" + MINIMAL,
        a="include: b.yaml\n",
        b="generation_kwargs: {max_new_tokens: 7}\nrepeats: 2\n",
    )
    spec = load_task(path).spec
    assert spec.generation_kwargs == {"temperature": 0}
    assert spec.repeats == 2


def test_an_include_is_relative_to_the_file_that_has_it(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.yaml").write_text("include: b.yaml\n")
    (tmp_path / "deep" / "b.yaml").write_text("repeats: 9\n")
    assert load_task(write(tmp_path, toy="include: deep/a.yaml\n" + MINIMAL)).spec.repeats == 9


def test_one_file_may_be_included_twice_on_two_ways(tmp_path):
    path = write(
        tmp_path, toy="include: [a.yaml, b.yaml]\n" + MINIMAL,
        a="include: base.yaml\n", b="include: base.yaml\n", base="repeats: 2\n",
    )  # fmt: skip
    assert load_task(path).spec.repeats == 2


def test_errors_keep_the_line_of_the_file_a_value_comes_from(tmp_path):
    path = write(tmp_path, toy=MINIMAL + "include: base.yaml\n", base="\n\nrepeats: 2\n")
    merged = read_merged(path.resolve())
    assert merged.where("repeats") == f"{tmp_path / 'base.yaml'}:3"
    assert merged.where("task") == f"{path}:1"


def test_a_changed_file_is_read_again(tmp_path):
    import os

    path = write(tmp_path, toy=MINIMAL + "include: base.yaml\n", base="repeats: 2\n")
    assert load_task(path).spec.repeats == 2
    (tmp_path / "base.yaml").write_text("repeats: 33\n")
    os.utime(tmp_path / "base.yaml", ns=(1, 1))
    assert load_task(path).spec.repeats == 33


# --- !function ----------------------------------------------------------------------------------------------------


def test_a_function_is_found_beside_the_yaml_before_any_package_of_that_name(tmp_path):
    path = write(tmp_path, toy=MINIMAL + "doc_to_text: !function json.f\n", py_json="def f(doc): return 'beside'\n")
    assert load_task(path).render_text({}) == "beside"


def test_a_function_may_come_from_an_installed_module(tmp_path):
    path = write(tmp_path, toy=MINIMAL + "doc_to_text: !function posixpath.basename\n")
    assert load_task(path).spec.doc_to_text("a/b") == "b"


def test_a_function_of_an_included_yaml_is_found_beside_that_yaml(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "b.yaml").write_text("doc_to_text: !function utils.f\n")
    (tmp_path / "base" / "utils.py").write_text("def f(doc): return 'of base'\n")
    path = write(tmp_path, toy="include: base/b.yaml\n" + MINIMAL, py_utils="def f(doc): return 'of toy'\n")
    assert load_task(path).render_text({}) == "of base"


def test_two_folders_utils_stay_apart_and_sys_path_is_untouched(tmp_path):
    import sys

    before = list(sys.path)
    said = []
    for name in "ab":
        (tmp_path / name).mkdir()
        path = write(
            tmp_path / name, toy=MINIMAL + "doc_to_text: !function utils.f\n", py_utils=f"def f(doc): return {name!r}\n"
        )
        said.append(load_task(path).render_text({}))
    assert said == ["a", "b"]
    assert sys.path == before


def test_files_beside_a_yaml_may_import_one_another_relatively(tmp_path):
    path = write(tmp_path, toy=MINIMAL + "doc_to_text: !function utils.f\n",
                 py_utils="from .helper import x\ndef f(doc): return x\n", py_helper="x = 'help'\n")  # fmt: skip
    assert load_task(path).render_text({}) == "help"


def test_a_function_in_a_subfolder_is_named_with_dots(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "text.py").write_text("def f(doc): return 'sub'\n")
    assert load_task(write(tmp_path, toy=MINIMAL + "doc_to_text: !function code.text.f\n")).render_text({}) == "sub"


def test_loading_imports_no_code_of_the_task(tmp_path):
    path = write(tmp_path, toy=MINIMAL + "doc_to_text: !function utils.f\n", py_utils="raise RuntimeError\n")
    task = load_task(path)
    with pytest.raises(TaskError, match=r"toy\.yaml:4: !function utils\.f: importing utils failed with RuntimeError"):
        task.render_text({})


# --- kinds of YAML ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MINIMAL, True),
        ("group: g\ntask: [a]\n", True),
        ("task: toy\ninclude: base.yaml\n", True),
        ("task: build\ncmds: [make]\n", False),
        ("# task: toy\ndataset_path: x\n", False),
        ("  task: toy\ndataset_path: x\n", False),
        ("", False),
    ],
)
def test_a_cheap_look_tells_what_may_be_a_task(tmp_path, text, expected):
    assert is_candidate(write(tmp_path, toy=text)) is expected


def test_yamls_in_folders_of_environments_and_caches_are_not_looked_at(tmp_path):
    for name in (".git", "node_modules", "venv", "mine"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, toy=MINIMAL)
    assert list(yaml_files(tmp_path)) == [tmp_path / "mine" / "toy.yaml"]


# --- fields -------------------------------------------------------------------------------------------------------


def test_a_tag_may_be_a_name_or_a_list(tmp_path):
    assert load_task(write(tmp_path, toy=MINIMAL + "tag: a\n")).spec.tag == ("a",)
    assert load_task(write(tmp_path, toy=MINIMAL + "tag: [a, b]\n")).spec.tag == ("a", "b")


def test_the_test_split_wins_over_the_validation_split(tmp_path):
    assert load_task(write(tmp_path, toy=MINIMAL + "validation_split: v\n")).spec.split == "train"
    assert load_task(write(tmp_path, toy="task: toy\ndataset_path: json\nvalidation_split: v\n")).spec.split == "v"


def test_a_dataset_name_of_digits_stays_text(tmp_path):
    assert load_task(write(tmp_path, toy=MINIMAL + "dataset_name: 2024\n")).spec.dataset_name == "2024"


def test_the_version_is_read_from_a_mapping_and_from_a_list(tmp_path):
    assert load_task(write(tmp_path, toy=MINIMAL + "metadata: {version: 1.5}\n")).spec.version == 1.5
    assert load_task(write(tmp_path, toy=MINIMAL + "metadata:\n  - version: 2.0\n")).spec.version == 2.0


def test_a_task_that_generates_nothing_may_carry_generation_settings(tmp_path):
    path = write(tmp_path, toy=MINIMAL + "output_type: multiple_choice\ngeneration_kwargs: {temperature: 0}\n")
    assert load_task(path).spec.output_type == "multiple_choice"


def test_a_task_that_draws_while_it_thinks_loads(tmp_path):
    path = write(tmp_path, toy=MINIMAL + "output_type: generate_visual_cot\n")
    assert load_task(path).spec.output_type == "generate_visual_cot"


def test_an_error_shows_a_function_as_the_yaml_has_it(tmp_path):
    listed = "metric_list: [null, {metric: a, aggregation: !function utils.total}]\n"
    with pytest.raises(TaskError, match=r"'aggregation': !function utils\.total}"):
        load_task(write(tmp_path, toy=MINIMAL + listed))


def test_a_python_task_class_is_refused_and_told_what_to_write_instead(tmp_path):
    path = write(tmp_path, toy=MINIMAL + "class: !function utils.MyTask\n")
    with pytest.raises(TaskError, match=r"toy.yaml:\d+: `class: utils.MyTask`(.|\n)*process_results"):
        load_task(path)


def test_a_task_may_take_its_name_from_what_it_includes(tmp_path):
    path = write(tmp_path, toy="include: base.yaml\nrepeats: 2\n", base=MINIMAL)
    assert (load_task(path).name, load_task(path).spec.repeats) == ("toy", 2)


# --- groups -------------------------------------------------------------------------------------------------------


def test_a_group_gives_its_tasks_each_once(tmp_path):
    write(tmp_path, a=MINIMAL.replace("toy", "a"), b=MINIMAL.replace("toy", "b"), g="group: g\ntask: [b, a, b]\n")
    assert [t.name for t in load_task(tmp_path / "g.yaml")] == ["b", "a"]


def test_a_group_finds_members_in_the_folder_above(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path, a=MINIMAL.replace("toy", "a"))
    write(tmp_path / "sub", g="group: g\ntask: a\n")
    assert [t.name for t in load_task(tmp_path / "sub" / "g.yaml")] == ["a"]


def test_a_group_that_names_an_unknown_task_says_which_and_where(tmp_path):
    write(tmp_path, alpha=MINIMAL.replace("toy", "alpha"), g="group: g\ntask: [alpha, alhpa]\n")
    with pytest.raises(TaskError, match=r"g\.yaml(.|\n)*unknown task 'alhpa'(.|\n)*alpha"):
        load_task(tmp_path / "g.yaml")


def test_fields_of_an_outer_group_win_over_those_of_an_inner_one(tmp_path):
    write(
        tmp_path, a=MINIMAL.replace("toy", "a"), outer="group: outer\ntask: [inner]\nrepeats: 4\n",
        inner="group: inner\ntask: [{task: a, repeats: 2, num_fewshot: 3}]\n",
    )  # fmt: skip
    (task,) = load_task(tmp_path / "outer.yaml")
    assert (task.spec.repeats, task.spec.num_fewshot) == (4, 3)
    (task,) = load_task(tmp_path / "inner.yaml")
    assert task.spec.repeats == 2
    assert load_task(tmp_path / "a.yaml").spec.repeats == 1
