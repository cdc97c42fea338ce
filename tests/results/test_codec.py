"""Scores cross processes as they are: tuples stay tuples, integer keys stay integers."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import numpy as np
import pytest

from pytest_lmms.results.codec import decode, encode, plain


def round_trip(value):
    return decode(json.loads(json.dumps(encode(value), allow_nan=False)))


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 2.5, "text", "", [], {}, [1, [2, "x"]], {"a": {"b": [1]}},
        (1, 2), ((1,), "x"), [(1, 2), [3]], {1: "one", 2: (3,)}, {(1, 2): 3}, {None: 1, True: 2},
        {1, 2}, {("a", 1)}, b"\x00\xff", {"bytes": b"x"}, {"$tuple": [1]}, {"$": 1}, {"$x": (1,)}, math.inf, -math.inf,
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_comes_back_as_it_was(value):
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value)


def test_not_a_number_comes_back():
    assert math.isnan(round_trip({"x": [math.nan]})["x"][0])


def test_keys_come_back_in_order_and_with_their_types():
    assert list(round_trip({3: "c", "3": "text", 1: "a"}).items()) == [(3, "c"), ("3", "text"), (1, "a")]


@pytest.mark.parametrize(
    ("value", "expected"), [(np.float64(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True), (np.str_("a"), "a")]
)
def test_numpy_scalars_become_what_they_stand_for(value, expected):
    back = round_trip(value)
    assert back == expected
    assert type(back) is type(expected)


def test_arrays_come_back_as_arrays():
    back = round_trip({"a": np.array([[1.0, np.nan]], dtype=np.float32)})["a"]
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, np.array([[1.0, np.nan]], dtype=np.float32))


@pytest.mark.parametrize("value", [Decimal(1), {"x": [object()]}, lambda: 0])
def test_what_cannot_be_stored_is_named(value):
    with pytest.raises(TypeError, match=r"Decimal|builtins.object|function"):
        encode(value)


def test_for_readers_everything_is_plain_json():
    value = {1: (1, {2}), "nan": math.nan, "array": np.array([1, 2]), "b": b"x"}
    assert plain(value) == {"1": [1, [2]], "nan": None, "array": [1, 2], "b": "b'x'"}
