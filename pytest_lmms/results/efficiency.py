"""How much a run cost: tokens and time. Null where a backend does not tell; never estimated, never priced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_USUAL_SCORES = ("score", "acc", "accuracy", "exact_match")
PERCENTILES = (50, 90, 99)


def number_of(scores: Mapping[str, Any], score_key: str) -> float | None:
    """The one number that says how right a document is, from its scores under one filter.

    In this order: the metric named `score_key`; `score`, `acc`, `accuracy`, `exact_match`; any metric whose name
    ends in `_score` or `_acc`; the only metric. A mapping counts by its `score_key`.
    """
    if len(scores) == 1:
        (value,) = scores.values()
        return _number(value, score_key)
    for name in (score_key, *_USUAL_SCORES, *(n for n in scores if n.endswith(("_score", "_acc")))):
        if name in scores and (number := _number(scores[name], score_key)) is not None:
            return number
    return None


def _number(value: Any, score_key: str) -> float | None:
    if type(value) is dict or isinstance(value, Mapping):
        value = value.get(score_key)
    return float(value) if isinstance(value, (int, float)) else None


class Efficiency:
    """Adds up tokens and times of one task, or of all."""

    def __init__(self) -> None:
        self.docs = 0
        self.docs_with_token_counts = 0
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.reasoning_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.fresh_output_tokens: int | None = None
        self.correct = 0.0
        self.has_score = False
        self.intervals: set[tuple[float, float]] = set()
        self.first_token: dict[str, list[float]] = {}
        self.per_token: dict[str, list[float]] = {}

    def add(self, record: Mapping[str, Any], score_key: str) -> None:
        """Count one decoded record."""
        self.docs += 1
        known = False
        for i, o, r, *c in record["token_counts"]:
            self.input_tokens = _plus(self.input_tokens, i)
            self.output_tokens = _plus(self.output_tokens, o)
            self.reasoning_tokens = _plus(self.reasoning_tokens, r)
            self.cached_tokens = _plus(self.cached_tokens, c[0] if c else None)
            known = known or o is not None
            if not record.get("num_cached"):
                self.fresh_output_tokens = _plus(self.fresh_output_tokens, o)
        self.docs_with_token_counts += known
        first: Mapping[str, Any] = next(iter(record["scores"].values()), {})
        number = number_of(first, score_key)
        if number is not None:
            self.has_score = True
            self.correct += max(number, 0.0)
        for finished, seconds, _, ttft, tpot, source in record.get("timings", ()):
            if finished is not None:
                self.intervals.add((finished - seconds, finished))
            if ttft is not None:
                self.first_token.setdefault(source, []).append(ttft)
            if tpot is not None:
                self.per_token.setdefault(source, []).append(tpot)

    def absorb(self, other: Efficiency) -> None:
        """Count everything that another one has counted."""
        for name in ("docs", "docs_with_token_counts", "correct"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "fresh_output_tokens"):
            setattr(self, name, _plus(getattr(self, name), getattr(other, name)))
        self.has_score = self.has_score or other.has_score
        self.intervals |= other.intervals
        for name in ("first_token", "per_token"):
            for source, seconds in getattr(other, name).items():
                getattr(self, name).setdefault(source, []).extend(seconds)

    def summary(self) -> dict[str, Any]:
        """The keys that lmms-eval writes under `efficiency`."""
        output = self.output_tokens
        total = None if self.input_tokens is None and output is None else (self.input_tokens or 0) + (output or 0)
        cached = {} if self.cached_tokens is None else {"total_cached_input_tokens": self.cached_tokens}
        return cached | {
            "docs": self.docs,
            "docs_with_token_counts": self.docs_with_token_counts,
            "total_input_tokens": self.input_tokens,
            "total_output_tokens": output,
            "total_reasoning_tokens": self.reasoning_tokens,
            "total_tokens": total,
            "total_correct_score": self.correct if self.has_score else None,
            "avg_output_tokens_per_sample": (
                output / self.docs_with_token_counts if output is not None and self.docs_with_token_counts else None
            ),
            "tokens_per_correct_answer": output / self.correct if output is not None and self.correct > 0 else None,
        }

    def throughput(self) -> dict[str, Any]:
        """Speed of the responses that were really asked for; cached ones are left out.

        `total_elapsed_time` is the time, in seconds, during which at least one request was being answered, over all
        workers; `avg_speed` is output tokens a second of it.
        """
        elapsed = union_seconds(self.intervals)
        tokens = self.fresh_output_tokens
        return {
            "total_gen_tokens": tokens,
            "total_elapsed_time": elapsed,
            "avg_speed": tokens / elapsed if tokens is not None and elapsed else None,
            "ttft_seconds": _percentiles(self.first_token),
            "tpot_seconds": _percentiles(self.per_token),
        }


def _plus(total: int | None, value: int | None) -> int | None:
    return total if value is None else (total or 0) + value


def _percentiles(values: Mapping[str, list[float]]) -> dict[str, Any] | None:
    """By source: p50, p90, p99 (nearest rank) and the number of responses."""
    if not values:
        return None
    found: dict[str, Any] = {}
    for source, seconds in values.items():
        ordered = sorted(seconds)
        found[source] = {"n": len(ordered)} | {
            f"p{p}": ordered[max(0, -(-len(ordered) * p // 100) - 1)] for p in PERCENTILES
        }
    return found


def union_seconds(intervals: Iterable[tuple[float, float]]) -> float | None:
    """Length of the union of time intervals, in seconds; None without any."""
    total = 0.0
    end = None
    for start, stop in sorted(intervals):
        if end is None or start > end:
            total += stop - start
            end = stop
        elif stop > end:
            total += stop - end
            end = stop
    return None if end is None else total
