"""A batch between preparation and generation: in parts, each ready for the device. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Part:
    """Requests of a batch that go through the model together, ready for the device."""

    places: tuple[int, ...]
    """Which of the batch's requests these are."""
    inputs: Mapping[str, Any]
    """What the model's ``generate`` takes, as CPU tensors; `input_ids` and `attention_mask` are
    int64 (num_requests, num_columns), padded on the left."""
    input_tokens: tuple[int, ...]
    """For each request, its prompt's tokens: image placeholders expanded, padding left out."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A batch, in as many parts as its processor needs; one for most families."""

    parts: tuple[Part, ...]
