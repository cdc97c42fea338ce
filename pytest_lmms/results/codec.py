"""Values that survive JSON: tuples stay tuples, integer keys stay integers.

Scores made in one process are aggregated in another. Plain JSON would turn a tuple into a list and the key 3 into
"3", and a score would depend on how many workers made it. What plain JSON cannot hold is written as a mapping with
one key, ``$tuple``, ``$set``, ``$bytes``, ``$items`` (a mapping whose keys are not all strings), ``$float`` or
``$ndarray``; everything else is written as it is.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

_PLAIN = (str, int, bool, type(None))
_PLAIN_TYPES = frozenset(_PLAIN)
_TEXT = frozenset({str})
MARK = b'"$'
"""JSON without these bytes holds nothing to decode."""


def encode(value: Any) -> Any:
    """Turn a value into what `json.dumps` writes and `decode` restores.

    Raises:
        TypeError: A value of a type that cannot be restored; the message names it.
    """
    kind = type(value)
    if kind in _PLAIN_TYPES:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if kind is list:
        return [v if type(v) is str else encode(v) for v in value]
    if kind is dict or isinstance(value, Mapping):
        if set(map(type, value)) <= _TEXT and not (len(value) == 1 and next(iter(value))[:1] == "$"):
            return {k: v if type(v) in _PLAIN_TYPES else encode(v) for k, v in value.items()}
        return {"$items": [[encode(k), encode(v)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [encode(v) for v in value]}
    if isinstance(value, (set, frozenset)):
        return {"$set": [encode(v) for v in sorted(value, key=repr)]}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, (str, int, float, list)):  # subclasses: numpy's float64 is a float
        base: Any = next(t for t in (str, int, float, list) if isinstance(value, t))
        return encode(base(value))
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        if getattr(value, "ndim", 0) == 0:
            return encode(value.tolist())
        return {"$ndarray": [str(value.dtype), encode(value.tolist())]}
    raise TypeError(
        f"a score holds a {kind.__module__}.{kind.__qualname__}; process_results may return numbers, text, lists, "
        "tuples, sets, mappings, bytes and numpy values"
    )


def decode(value: Any) -> Any:
    """The inverse of `encode`."""
    if isinstance(value, list):
        return [decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        key, inner = next(iter(value.items()))
        if key == "$tuple":
            return tuple(decode(v) for v in inner)
        if key == "$set":
            return {decode(v) for v in inner}
        if key == "$items":
            return {decode(k): decode(v) for k, v in inner}
        if key == "$bytes":
            return base64.b64decode(inner)
        if key == "$float":
            return float(inner)
        if key == "$ndarray":
            import numpy as np

            return np.array(decode(inner[1]), dtype=inner[0])
    return {k: decode(v) for k, v in value.items()}


def plain(value: Any) -> Any:
    """A decoded value as people expect it in JSON: tuples and sets as lists, keys as strings, no NaN."""
    kind = type(value)
    if kind in _PLAIN_TYPES:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, _PLAIN):
        return value
    if kind is dict or isinstance(value, Mapping):
        return {k if type(k) is str else str(k): v if type(v) in _PLAIN_TYPES else plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [v if type(v) is str else plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)
