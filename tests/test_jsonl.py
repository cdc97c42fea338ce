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


@pytest.mark.parametrize("line", [b"[" * 5000 + b"]" * 5000, b'{"a":' * 200_000])
def test_a_line_too_deep_to_read_is_a_damaged_line(line: bytes) -> None:
    with pytest.raises(ValueError, match="depth"):
        loads(line)


def test_a_value_too_deep_to_write_is_no_json() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(TypeError, match="nested too deeply"):
        dumps(value)
