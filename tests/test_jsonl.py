"""JSON lines keep whatever a model can say."""

from __future__ import annotations

import json

import pytest

from pytest_lmms.jsonl import dumps, loads


@pytest.mark.parametrize(
    "value",
    [{"a": [1, 2.5, None, True, "é\n"]}, "lone surrogate \ud83d", 2**70, {"x": "\u2028"}, "a" * 100_000],
)
def test_a_value_comes_back_as_it_was_on_one_line(value: object) -> None:
    line = dumps(value)
    assert b"\n" not in line
    assert loads(line) == value
    assert json.loads(line) == value


def test_equal_mappings_give_equal_bytes_when_keys_are_sorted() -> None:
    assert dumps({"b": 1, "a": {"d": 2, "c": 3}}, sort_keys=True) == dumps(
        {"a": {"c": 3, "d": 2}, "b": 1}, sort_keys=True
    )


def test_what_is_no_json_is_refused_or_converted() -> None:
    with pytest.raises(TypeError):
        dumps({"x": object()})
    assert dumps({"x": b"raw"}, default=len) == b'{"x":3}'


def test_torn_lines_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(b'{"a": 1')
