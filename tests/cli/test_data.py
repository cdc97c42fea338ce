"""`pytest-lmms data pack`: a task that is evaluated from what was packed."""

from __future__ import annotations

import shutil

import pytest

from pytest_lmms.tasks.inputs import task_inputs
from pytest_lmms.tasks.load import load_one

_lance = pytest.importorskip("pytest_lmms.media._lance", exc_type=ImportError)


def test_a_task_asks_the_same_of_its_pack(run, tmp_path):
    _lance.forget()
    folder = tmp_path / "mme"
    shutil.copytree("benchmarks/mme", folder)
    yaml = folder / "mme.yaml"
    code, out, err = run("data", "pack", yaml, "--data", "mini", "--output", folder / "mme.lance")
    assert (code, err) == (0, "")
    assert "mme.lance: " in out
    before = task_inputs(load_one(yaml), data="mini")
    text = yaml.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(("dataset_", "  token"))]
    yaml.write_text("\n".join(["dataset_kwargs: {lance: mme.lance}", *lines]), encoding="utf-8")
    shutil.rmtree(folder / "miniature")
    assert task_inputs(load_one(yaml)) == before


def test_several_tasks_and_a_second_writing_are_refused(run, tmp_path):
    code, _, err = run("data", "pack", "mm*", "--data", "mini", "--output", tmp_path / "x.lance")
    assert (code, "one: a pack holds the documents of one task" in err) == (4, True)
    words = ("data", "pack", "mme", "--data", "mini", "--output", tmp_path / "x.lance")
    assert run(*words)[0] == 0
    assert "already exists" in run(*words)[2]
    assert run(*words, "--overwrite", "--limit", "1")[0] == 0
