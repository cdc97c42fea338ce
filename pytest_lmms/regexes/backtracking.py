"""How long a text may be for an expression of `re` to be done with it soon, whatever the text. Pure.

An expression that backtracks tries, from each place of a text, each way in which its repetitions and branches can share
what follows. Their number is bounded here from above: by n for a repetition, by a product for what stands one after
another, by a power for what stands inside a repetition. An expression can be much better than its bound, never worse.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

try:
    from re import _constants as ops  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_constants as ops
    import sre_parse as parser

MAX_STEPS = 1e8
"""About a second."""
LONGEST = 1 << 30
"""Characters; no text is longer."""
_REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT, getattr(ops, "POSSESSIVE_REPEAT", None))


@functools.lru_cache(maxsize=1024)
def safe_length(pattern: str, flags: int = 0) -> int:
    """The most characters on which an expression takes at most `MAX_STEPS`, found by halving.

    Args:
        pattern: As `re` reads it.
        flags: Of `re`.

    Returns:
        0 to `LONGEST`.

    Raises:
        re.error: The pattern is wrong.
    """
    tree = list(parser.parse(pattern, flags))
    low, high = 0, LONGEST
    while low < high:
        middle = (low + high + 1) // 2
        if middle * _ways(tree, middle) <= MAX_STEPS:
            low = middle
        else:
            high = middle - 1
    return low


def _ways(items: Iterable[tuple[Any, Any]], length: int) -> float:
    """In how many ways parsed items can match at one place of a text, at most; infinite where that is no matter."""
    return math.prod(_ways_of(op, value, length) for op, value in items)


def _ways_of(op: Any, value: Any, length: int) -> float:
    if op in _REPEATS:
        low, high, body = value
        high = min(int(high), length)
        inside = _ways(body, length)
        if inside <= 1:
            return float(max(high - low, 0) + 1)
        return float(inside**high) if high * math.log(inside) < math.log(MAX_STEPS) + 1 else math.inf
    if op is ops.BRANCH:
        return sum(_ways(branch, length) for branch in value[1])
    if op is ops.GROUPREF:
        return float(length)
    if op is ops.GROUPREF_EXISTS:
        return sum(_ways(branch, length) for branch in value[1:] if branch is not None)
    if op is ops.SUBPATTERN or op in (ops.ASSERT, ops.ASSERT_NOT):
        return _ways(value[-1], length)
    return _ways(value, length) if op is getattr(ops, "ATOMIC_GROUP", None) else 1.0
