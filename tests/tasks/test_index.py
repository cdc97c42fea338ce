"""Names of tasks, groups and tags, and what is kept of them between runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lmms.errors import TaskError
from pytest_lmms.results.groups import find_groups
from pytest_lmms.tasks import index as index_module
from pytest_lmms.tasks import indexcache
from pytest_lmms.tasks.index import index_tasks, load_group

MINIMAL = "task: toy\ndataset_path: json\ntest_split: train\n"


def write(folder: Path, **files: str) -> None:
    """Write `name.yaml` for each argument."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_the_index_knows_tasks_groups_and_tags(tmp_path):
    write(
        tmp_path, a=MINIMAL.replace("toy", "a") + "tag: t\n", b="include: base.yaml\n" + MINIMAL.replace("toy", "b"),
        base="tag: t\n", g="group: g\ntask: [t, c]\n", c=MINIMAL.replace("toy", "c"), h="group: h\ntask: g\n",
    )  # fmt: skip
    index = index_tasks([tmp_path])
    assert sorted(index.tasks) == ["a", "b", "c"]
    assert index.tags == {"t": ["a", "b"]}
    assert [p.stem for p in index.expand(["g"])] == ["a", "b", "c"]
    assert [p.stem for p in index.expand(["c", "h", "[ab]"])] == ["c", "a", "b"]
    assert index.groups_of("a") == {"t", "g", "h"}


def test_a_group_may_list_members_as_mappings(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_text("group: g\ntask:\n  - task: a\n  - b\n")
    assert load_group(path).members == ("a", "b")


def test_groups_that_name_each_other_do_not_hang(tmp_path):
    write(tmp_path, g="group: g\ntask: [h]\n", h="group: h\ntask: [g]\n")
    with pytest.raises(TaskError, match="a group within itself: g -> h -> g"):
        index_tasks([tmp_path]).expand(["g"])


def test_a_name_defined_twice_is_an_error_only_for_who_asks_for_it(tmp_path):
    write(tmp_path, x=MINIMAL, y=MINIMAL, z=MINIMAL.replace("toy", "z"))
    index = index_tasks([tmp_path])
    assert [p.stem for p in index.expand(["z"])] == ["z"]
    with pytest.raises(TaskError, match=r"defined twice: in .*x\.yaml and in .*y\.yaml"):
        index.expand(["toy"])


def test_a_broken_task_is_kept_aside_with_its_error(tmp_path):
    write(tmp_path, toy=MINIMAL, bad="task: [\ndataset_path: x\n")
    index = index_tasks([tmp_path])
    assert list(index.tasks) == ["toy"]
    assert [p.name for p in index.broken] == ["bad.yaml"]


def test_names_may_be_quoted(tmp_path):
    write(tmp_path, a='"task": a\n"dataset_path": json\ntest_split: train\n')
    assert list(index_tasks([tmp_path]).tasks) == ["a"]


def test_a_group_written_inside_another_can_be_asked_for(tmp_path):
    inner = "  - group: warm\n    task: [a]\n    aggregate_metric_list: [{metric: acc}]\n"
    write(tmp_path, a=MINIMAL.replace("toy", "a"), b=MINIMAL.replace("toy", "b"), g=f"group: g\ntask:\n{inner}  - b\n")
    index = index_tasks([tmp_path])
    assert [p.stem for p in index.expand(["warm"])] == ["a"]
    assert [p.stem for p in index.expand(["g"])] == ["a", "b"]
    assert index.groups_of("a") == {"warm", "g"}


def test_a_group_that_changes_its_members_stands_for_itself(tmp_path):
    write(tmp_path, a=MINIMAL.replace("toy", "a"), g="group: g\ntask: [{task: a, repeats: 2}]\n")
    assert [p.stem for p in index_tasks([tmp_path]).expand(["g"])] == ["g"]


def test_two_groups_of_one_name_are_an_error_for_who_asks_for_it(tmp_path):
    write(tmp_path, a=MINIMAL.replace("toy", "a"), x="group: g\ntask: a\nnum_fewshot: 1\n", y="group: g\ntask: a\n")
    with pytest.raises(TaskError, match=r"x\.yaml and in .*y\.yaml"):
        index_tasks([tmp_path]).expand(["g"])


# --- the cache ----------------------------------------------------------------------------------------------------


@pytest.fixture
def read_files(tmp_path, monkeypatch):
    """Files of YAML that the last call of `index` read, by name; caches lie in a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(indexcache, "MIN_FILES", 1)
    read: list[str] = []
    original = index_module._read

    def spy(path):
        read.append(path.stem)
        return original(path)

    monkeypatch.setattr(index_module, "_read", spy)

    def index():
        read.clear()
        return index_tasks([tmp_path / "tasks"]), sorted(read)

    (tmp_path / "tasks").mkdir()
    return index


def test_what_has_not_changed_is_not_read_again(tmp_path, read_files):
    write(tmp_path / "tasks", a=MINIMAL.replace("toy", "a") + "tag: t\n", g="group: g\ntask: a\n", other="x: 1\n")
    first, read = read_files()
    assert read == ["a", "g", "other"]
    second, read = read_files()
    assert read == []
    assert (second.tasks, second.groups, second.tags) == (first.tasks, first.groups, first.tags)


def test_changed_new_and_removed_files_are_noticed(tmp_path, read_files):
    folder = tmp_path / "tasks"
    write(folder, a=MINIMAL.replace("toy", "a"), b=MINIMAL.replace("toy", "b"))
    read_files()
    write(folder, a=MINIMAL.replace("toy", "changed"), c=MINIMAL.replace("toy", "c"))
    (folder / "b.yaml").unlink()
    index, read = read_files()
    assert read == ["a", "c"]
    assert sorted(index.tasks) == ["c", "changed"]


def test_a_change_of_an_included_file_is_noticed(tmp_path, read_files):
    folder = tmp_path / "tasks"
    write(folder, a="include: base\n" + MINIMAL.replace("toy", "a"))
    (folder / "base").write_text("tag: old\n")
    assert read_files()[0].tags == {"old": ["a"]}
    (folder / "base").write_text("tag: newer\n")
    index, read = read_files()
    assert (index.tags, read) == ({"newer": ["a"]}, ["a"])


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 1, "entries": {}}', '{"format": 0}', '{"format": 1}', '{"format": 1, "entries": 7}'],
)
def test_a_damaged_cache_is_made_anew(tmp_path, read_files, text):
    write(tmp_path / "tasks", a=MINIMAL.replace("toy", "a"))
    read_files()
    (file,) = (tmp_path / "caches").rglob("*.json")
    file.write_text(text)
    index, read = read_files()
    assert (list(index.tasks), read) == (["a"], ["a"])
    assert read_files()[1] == []


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, read_files):
    write(tmp_path / "tasks", a=MINIMAL.replace("toy", "a"))
    (tmp_path / "caches").write_text("no folder")
    assert list(read_files()[0].tasks) == ["a"]
    assert list(read_files()[0].tasks) == ["a"]


def test_groups_that_double_at_each_step_are_an_error_that_names_one(tmp_path):
    for number in range(40):
        (tmp_path / f"g{number}.yaml").write_text(f"group: g{number}\ntask: [g{number + 1}, g{number + 1}]\n")
    (tmp_path / "g40.yaml").write_text("task: g40\ndataset_path: d\ntest_split: test\ndoc_to_text: q\n")
    index = index_tasks([tmp_path])
    with pytest.raises(TaskError, match=r"group g0 [\s\S]*more than 10,000 tasks"):
        list(index.tasks_of_group(index.groups["g0"]))
    trees = find_groups(index, {"g40": tmp_path / "g40.yaml"}, ["g0"])
    assert "g39" in {node.group.name for tree in trees for _, node in tree.walk()}
