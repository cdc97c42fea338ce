"""The pure parts of tools/compat: what they call a task, which rows they make, how a difference is shown."""

import random
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools" / "compat"


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import catalogue
    import forms
    import made_rows

    yield catalogue, forms, made_rows
    for name in ("catalogue", "forms", "made_rows"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"task": "a", "dataset_path": "json"}, "task"),
        ({"group": "g", "task": ["a"]}, "group"),
        ({"task": "a", "class": "x"}, "class"),
        ({"dataset_path": "json"}, "template"),
        ({"anything": 1}, "other"),
    ],
)
def test_a_yaml_is_told_by_its_keys(tools, values, kind):
    assert tools[0].kind_of(values) == kind


def test_a_function_of_an_included_file_belongs_to_that_file(tools, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "base.yaml").write_text("process_results: !function utils.score\n")
    (tmp_path / "sub" / "a.yaml").write_text("include: ../base.yaml\ntask: a\n")
    values = tools[0].merged(tmp_path / "sub" / "a.yaml")
    (function,) = tools[0].functions_in(values)
    assert function.dotted == "utils.score"
    assert function.path.parent.resolve() == tmp_path.resolve()


def test_rows_of_one_seed_are_the_same_and_of_another_differ(tools):
    make_rows = tools[2].make_rows
    kinds = {"question": "text", "options": "texts", "score": "float"}
    assert make_rows(kinds, "1/toy") == make_rows(kinds, "1/toy")
    assert make_rows(kinds, "1/toy") != make_rows(kinds, "2/toy")


def test_columns_are_inferred_from_what_is_missing_and_from_what_fails(tools):
    def attempt(kinds):
        row = tools[2].make_rows(kinds, "seed", 1)[0]
        assert isinstance(row["extra"], int)

    assert tools[2].infer_kinds(["question"], attempt)["extra"] == "integer"


def test_a_task_that_no_rows_suit_says_what_it_raised(tools):
    def attempt(_kinds):
        raise RuntimeError("no judge")

    with pytest.raises(tools[2].Unsuitable, match="RuntimeError: no judge"):
        tools[2].infer_kinds(["question"], attempt, budget_seconds=0.1)


def test_equal_values_of_different_types_have_one_form_and_different_values_have_not(tools):
    canonical = tools[1].canonical
    assert canonical({"a": (1.0, True)}) == canonical({"a": [1, 1]})
    assert canonical({"a": 1.0}) != canonical({"a": 0.999})
    assert canonical(float("nan")) == canonical(float("nan"))


@pytest.fixture
def documents(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import documents

    yield documents
    sys.modules.pop("documents", None)


ROW = {
    "question": "How many?",
    "options": ["1"],
    "answer": 1,
    "share": 0.5,
    "shown": True,
    "image": {"$image": [8, 6, 0]},
}


def test_other_documents_keep_the_columns_and_types_of_the_recorded_ones(documents):
    made = documents.other_documents([{"doc": ROW, "responses": []}], 200, random.Random(1))
    assert made[0]["doc"] == ROW
    changed = [line["doc"] for line in made[1:]]
    for column, value in ROW.items():
        assert {type(doc[column]) for doc in changed} == {type(value)}
        assert any(doc[column] != value for doc in changed)


def test_columns_that_are_kept_do_not_change(documents):
    made = documents.other_documents([{"doc": ROW, "responses": []}], 100, random.Random(1), kept=["question", "image"])
    assert all(line["doc"]["question"] == "How many?" and line["doc"]["image"] == ROW["image"] for line in made)
    assert documents.other_documents([{"doc": ROW, "responses": []}], 5, random.Random(2)) == documents.other_documents(
        [{"doc": ROW, "responses": []}], 5, random.Random(2)
    )
