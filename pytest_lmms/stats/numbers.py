"""What the statistics share: sums without rounding, ranges, and the distributions of scipy."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

MIN_VALUES = 2
"""Below, nothing is known about the spread."""


def special() -> Any:
    """Distributions, without the half second that importing `scipy.stats` takes."""
    return importlib.import_module("scipy.special")


def deviations(values: Sequence[float]) -> list[float]:
    """Each value less the mean; nothing for no values."""
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


def sum_of_squares(values: Sequence[float]) -> float:
    """Return the sum of squares, summed without rounding."""
    return math.fsum([value * value for value in values])


def finite(value: Any) -> float | None:
    """`value` as a float when it is a finite real number; bool counts as one, text does not."""
    if isinstance(value, (str, bytes)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def require_positive(name: str, value: float) -> None:
    """Raise a `ValueError` that names the argument unless the value is above 0 and finite."""
    if not (value > 0 and math.isfinite(value)):
        message = f"{name} must be above 0, not {value!r}"
        raise ValueError(message)


def require_probability(name: str, value: float) -> None:
    """Raise a `ValueError` that names the argument unless the value lies between 0 and 1."""
    if not 0 < value < 1:
        message = f"{name} must lie between 0 and 1, not {value!r}"
        raise ValueError(message)


def require_equal_lengths(first: Sequence[Any], second: Sequence[Any]) -> None:
    """Raise a `ValueError` unless the sequences are of equal length."""
    if len(first) != len(second):
        message = f"sequences of equal length are needed, not {len(first)} and {len(second)}"
        raise ValueError(message)
