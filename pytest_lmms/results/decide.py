"""From differences to verdicts: p values adjusted together, then each rule held against its comparison.

Pure arithmetic on `Verdict`s whose `comparison` is known; what to compare, `gate` says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

from pytest_lmms import stats
from pytest_lmms.results.comparison import CONFIDENCE, Comparison
from pytest_lmms.results.rules import Gate, Rule, Size
from pytest_lmms.results.verdict import Verdict

_ROUNDING = 1 + 1e-9
"""A drop of exactly the tolerance is within it."""
_LEAST_SHARE = 1e-6
"""Of the level, that one of many gates has: keeps rounding from making it none."""


def decide(verdicts: Sequence[Verdict], *, num_runs: int = 1) -> list[Verdict]:
    """Adjust the p values of all gates together, then decide each that has a comparison.

    Args:
        verdicts: Of one run; with `comparison` where there is something to decide.
        num_runs: Runs of a list that have a baseline. Each gets an equal part of the level, so that all of them
            together raise a false alarm as seldom as one alone, and none has to wait for the others' p values.
    """
    verdicts = list(verdicts)
    tested = [
        i for i, v in enumerate(verdicts)
        if v.comparison is not None and v.comparison.p_worse is not None and _alpha(v.gate) is not None
    ]  # fmt: skip
    adjusted = stats.holm([verdicts[i].comparison.p_worse for i in tested])  # type: ignore[union-attr, misc]
    for i, p in zip(tested, adjusted, strict=True):
        verdicts[i] = replace(verdicts[i], p_adjusted=min(1.0, num_runs * p))
    return [_decide(v) if v.comparison is not None else v for v in verdicts]


def _alpha(gate: Gate) -> float | None:
    return gate.rule.alpha if isinstance(gate.rule, Rule) else None


def _decide(verdict: Verdict) -> Verdict:
    """Decide on one difference."""
    c, rule = verdict.comparison, verdict.gate.rule
    assert c is not None and isinstance(rule, Rule)  # noqa: S101, PT018
    if (why := _obstacle(c, rule)) is not None:
        return replace(verdict, outcome="unjudged", reason=why)
    gain = _gain(c)
    said = _in_words(c)
    if rule.tolerance is None and rule.alpha is None:
        assert rule.margin is not None  # noqa: S101
        allowed = _in_scores(rule.margin, c)
        high = c.sign * (c.high if c.sign > 0 else c.low)  # type: ignore[operator]
        if high < -allowed:
            return replace(verdict, outcome="fail", reason=f"{said}: surely more than {rule.margin} worse")
        return _beyond_doubt(verdict, rule.margin, said)
    is_larger = rule.tolerance is None or _drop_exceeds(rule.tolerance, c)
    is_significant = rule.alpha is None or (verdict.p_adjusted is not None and verdict.p_adjusted < rule.alpha)
    if gain < 0 and is_larger and is_significant:
        return replace(verdict, outcome="fail", reason=said)
    if rule.margin is None and rule.alpha is None:
        return replace(verdict, outcome="pass", reason=said)
    return _beyond_doubt(verdict, rule.margin or rule.tolerance or Size(5, "pt"), said)


def _obstacle(c: Comparison, rule: Rule) -> str | None:
    """Why a rule cannot be judged."""
    if c.obstacle is not None:
        return c.obstacle
    if c.higher_is_better is None:
        return f"{c.metric} says not whether more is better; name higher_is_better in its metric_list"
    if c.mean_difference is None and (rule.alpha is not None or rule.margin is not None):
        why = next(iter(c.notes), "documents have no single number under this metric")
        return f"{why}; only a rule of size, such as 2%, can be judged"
    if c.low is None and (rule.alpha is not None or rule.margin is not None):
        return f"{c.num_pairs} common documents (or one cluster) tell nothing about chance"
    sizes = [s for s in (rule.tolerance, rule.margin) if s is not None]
    if c.mean_difference is None and c.effect is None:
        return "the metric has no number in one of the runs"
    if any(s.unit == "%" for s in sizes):
        if c.effect is None or c.effect_from is None:
            return "the runs have different documents, and this metric is no mean over them: use pt, or p"
        if c.effect_from == 0 and c.effect != 0:
            return "the baseline is 0: no percentage of it can be told"
    return None


def _gain(c: Comparison) -> float:
    """Above 0 where the run is better."""
    difference = c.mean_difference if c.mean_difference is not None else c.effect
    return c.sign * (difference or 0.0)


def _drop_exceeds(size: Size, c: Comparison) -> bool:
    if size.unit == "%":
        return -c.sign * (c.effect or 0.0) > abs(c.effect_from or 0.0) * size.number / 100 * _ROUNDING
    return -_gain(c) > size.number * c.points * _ROUNDING


def _in_scores(size: Size, c: Comparison) -> float:
    """A size in the unit of the documents' scores."""
    if size.unit == "pt":
        return size.number * c.points
    if not c.effect or not c.mean_difference:  # no difference to scale by: the metric is taken for a mean
        return abs(c.effect_from or 0.0) * size.number / 100
    return abs(c.effect_from or 0.0) * size.number / 100 * abs(c.mean_difference / c.effect)


def _beyond_doubt(verdict: Verdict, margin: Size, said: str) -> Verdict:
    """Pass where a drop as large as the margin can be ruled out, else inconclusive."""
    c = verdict.comparison
    assert c is not None and c.std is not None and c.low is not None and c.high is not None  # noqa: S101, PT018
    allowed = _in_scores(margin, c)
    worst = c.sign * (c.low if c.sign > 0 else c.high)
    if worst >= -allowed:
        return replace(verdict, outcome="pass", reason=said)
    num_needed = _num_needed(verdict, allowed)
    decides = "no number of documents" if num_needed is None else f"{num_needed:,} documents"
    reason = f"{said}: a drop of {margin} is neither shown nor ruled out; {decides} would decide"
    return replace(verdict, outcome="inconclusive", reason=reason, num_needed=num_needed)


def _num_needed(verdict: Verdict, allowed: float) -> int | None:
    """The fewest documents with which a gate passes or fails, should differences stay what they are; None: never."""
    c, rule = verdict.comparison, verdict.gate.rule
    assert c is not None and c.std is not None and isinstance(rule, Rule)  # noqa: S101, PT018
    gain, quantile = _gain(c), NormalDist().inv_cdf
    z_interval = quantile((1 + CONFIDENCE) / 2)
    distances = []  # of scores, each with the number of standard errors that it has to be
    if rule.alpha is not None and gain < 0 and (rule.tolerance is None or _drop_exceeds(rule.tolerance, c)):
        is_adjusted = c.p_worse is not None and verdict.p_adjusted is not None and c.p_worse < verdict.p_adjusted < 1
        share = c.p_worse / verdict.p_adjusted if is_adjusted else 1.0  # type: ignore[operator]
        distances.append((-gain, quantile(1 - rule.alpha * max(share, _LEAST_SHARE))))
    if allowed + gain > 0:
        distances.append((allowed + gain, z_interval))
    elif rule.alpha is None and rule.tolerance is None and allowed + gain < 0:
        distances.append((-allowed - gain, z_interval))
    if not distances:
        return None
    return max(c.num_pairs + 1, math.ceil(min((z * c.std / distance) ** 2 for distance, z in distances)))


def _in_words(c: Comparison) -> str:
    parts = []
    if c.effect is not None and c.effect_from is not None:
        parts.append(f"{c.effect_from:.4g} -> {c.effect_from + c.effect:.4g} ({c.effect:+.4g})")
    if c.mean_difference is not None:
        unit, scale = ("pt", 100) if c.points == 0.01 else ("", 1)
        text = f"{scale * c.mean_difference:+.2f}{unit}"
        if c.low is not None and c.high is not None:
            text += f" [{scale * c.low:+.2f}, {scale * c.high:+.2f}]"
        if c.p_worse is not None:
            text += f", p={c.p_worse:.2g}, n={c.num_pairs:,}"
        if c.num_unpaired:
            text += f" ({c.num_unpaired:,} more in one run only)"
        parts.append(text)
    return " ".join(parts)
