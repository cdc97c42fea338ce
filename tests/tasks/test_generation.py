"""Generation settings, from mappings."""

from __future__ import annotations

import pytest

from pytest_lmms.errors import TaskError
from pytest_lmms.tasks.generation import build_generation


def test_numbers_are_read_from_text_and_whole_ones_from_floats():
    found = build_generation({"temperature": "0.5", "max_gen_toks": "8", "num_beams": 2.0, "top_k": -1, "mine": 3})
    assert (found.temperature, found.max_new_tokens, found.num_beams, found.top_k) == (0.5, 8, 2, -1)
    assert found.extra == {"mine": 3}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": "inf"}, "temperature is inf"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"top_p": -1}, "top_p is -1"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"max_new_tokens": -5}, "max_new_tokens is -5"),
        ({"max_new_tokens": 1.5}, "max_new_tokens is 1.5, not a whole number"),
        ({"max_new_tokens": float("inf")}, "infinity"),
        ({"num_beams": "two"}, "'two'"),
    ],
)
def test_a_setting_that_no_model_can_follow_is_refused_with_its_place(values, said):
    with pytest.raises(TaskError, match="here: generation settings") as caught:
        build_generation(values, where="here")
    assert said in str(caught.value)
