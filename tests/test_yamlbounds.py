"""YAML of strangers is plain values, bounded: no objects, no bombs, no depth that ends the process."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lmms.configfile import read_entries
from pytest_lmms.errors import TaskError, UsageError
from pytest_lmms.scoring.rubric import load_rubric
from pytest_lmms.tasks.inputs import from_text
from pytest_lmms.tasks.yamlfile import read_yaml
from pytest_lmms.yamlbounds import MAX_DEPTH, UnboundedError, check_depth, load_plain

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 40))
HOSTILE = {
    "aliases that multiply": LAUGHS,
    "merges that multiply": MERGES,
    "an anchor in itself": "a: &a [*a]",
    "a hundred thousand anchors": "".join(f"a{i}: &a{i} x\n" for i in range(100_000)),
    "lists in lists": "a: " + "[" * 60_000,
    "mappings in mappings": "a: " + "{a: " * 60_000,
    "lists on one line": "- " * 60_000 + "a",
    "keys that are mappings": "? " * 60_000 + "a",
    "a command": "a: !!python/object/apply:os.system ['true']",
    "a module": "a: !!python/module:os",
    "a name": "a: !!python/name:os.system",
    "a tag of nobody": "a: !thing b",
    "a number of a hundred thousand digits": "a: " + "9" * 100_000,
    "a number with a base of 60": "a: 1" + ":59" * 200_000,
    "a fraction with a base of 60": "a: 1" + ":59" * 190 + ".5",
    "a hexadecimal number": "a: 0x" + "f" * 1_000_000,
    "a date that is none": "a: 2001-99-99",
    "an hour that is none": "a: 2001-01-01T99:99:99Z",
    "what calls itself a number": "a: !!int x",
    "what calls itself a date": "a: !!timestamp x",
    "what calls itself true": "a: !!bool x",
}
READERS = {
    "task": lambda path, _: read_yaml(path),
    "config": lambda path, _: read_entries(path),
    "rubric": lambda path, _: load_rubric(path),
    "inputs": lambda path, text: from_text(text, where=str(path)),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_and_named(tmp_path, reader, name):
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE[name])
    with pytest.raises((TaskError, UsageError)) as caught:
        READERS[reader](path, HOSTILE[name])
    assert "hostile.yaml" in str(caught.value)
    assert len(str(caught.value)) < 2_000


def test_functions_are_the_only_objects_and_only_in_tasks(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("task: t\ndoc_to_text: !function utils.text\n")
    assert read_yaml(path).values["doc_to_text"].dotted == "utils.text"
    with pytest.raises(yaml.YAMLError):
        load_plain(path.read_text())


def test_aliases_that_stay_small_are_fine(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("a: &a [1, 2]\nb: *a\nc: {<<: &m {d: 1}}\ne: {<<: *m}\n")
    assert read_yaml(path).values == {"a": [1, 2], "b": [1, 2], "c": {"d": 1}, "e": {"d": 1}}


def test_numbers_dates_and_truth_values_are_read(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(f"a: {'9' * 200}\nb: 0x{'f' * 100}\nc: 2001-01-02\nd: yes\ne: 1:30\nf: .5\ng: .inf\n")
    date = dt.date(2001, 1, 2)
    read = {"a": int("9" * 200), "b": 16**100 - 1, "c": date, "d": True, "e": 90, "f": 0.5, "g": float("inf")}
    assert read_yaml(path).values == load_plain(path.read_text()) == read


def test_many_openers_and_little_depth_are_fine():
    value = [[i] for i in range(5_000)]
    assert load_plain(json.dumps(value)) == value


@pytest.mark.parametrize("extra", [0, 1])
def test_depth_is_bounded_exactly(extra):
    text = "[" * 1_000 + "]" * 1_000 if extra else "[" * MAX_DEPTH + "]" * MAX_DEPTH + " #" + "[" * 1_000
    if extra:
        with pytest.raises(UnboundedError):
            check_depth(text)
    else:
        check_depth(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_plain_values_come_back(value):
    assert load_plain(yaml.safe_dump(value, allow_unicode=True)) == value
