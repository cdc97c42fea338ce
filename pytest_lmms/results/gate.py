"""Verdicts: does a run meet what is demanded of it?

Pure decisions over two `StoredRun`s. A gate fails, passes, or is inconclusive; one that cannot be judged, because its
metric does not exist or the runs are not comparable, is `unjudged`, which counts as failed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

from pytest_lmms import stats
from pytest_lmms.errors import LmmsError, did_you_mean
from pytest_lmms.results.compare import compare
from pytest_lmms.results.comparison import CONFIDENCE, Comparison
from pytest_lmms.results.corpus import FindTask
from pytest_lmms.results.rules import Gate, Rule, Size
from pytest_lmms.results.runs import Metric, StoredRun

_ROUNDING = 1 + 1e-9
"""A drop of exactly the tolerance is within it."""
Outcome = Literal["pass", "fail", "inconclusive", "unjudged"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a gate on one metric."""

    gate: Gate
    outcome: Outcome
    reason: str
    """In a few words, with numbers."""
    metric: Metric | None = None
    value: float | None = None
    comparison: Comparison | None = None
    p_adjusted: float | None = None
    """`p_worse`, by Holm's method over all gates of the run that test significance, times the runs of a list."""
    num_needed: int | None = None
    """Of an inconclusive gate: documents that would decide, should the difference stay what it is."""

    @property
    def is_failure(self) -> bool:
        """Whether the run's exit code is 1 for it."""
        return self.outcome in ("fail", "unjudged")

    @property
    def name(self) -> str:
        """Metric and rule, for tables and test cases."""
        if self.metric is None:
            return str(self.gate)
        is_rule = isinstance(self.gate.rule, Rule)
        return f"{self.metric}: {self.gate.rule}" if is_rule else f"{self.metric} >= {self.gate.rule:g}"

    def to_json(self, node_id: Any) -> dict[str, Any]:
        """As results.json holds it.

        Args:
            node_id: (task, row number) to what pytest takes.
        """
        found: dict[str, Any] = {
            "name": self.name,
            "gate": str(self.gate),
            "where": self.gate.where,
            "outcome": self.outcome,
            "reason": self.reason,
            "value": self.value,
        }
        if self.metric is not None:
            found |= self.metric._asdict()
        if (c := self.comparison) is not None:
            names = (
                "baseline",
                "effect",
                "num_pairs",
                "num_unpaired",
                "mean_difference",
                "low",
                "high",
                "p_value",
                "p_worse",
                "test",
            )
            found |= {name: getattr(c, name) for name in names}
            found |= {"p_adjusted": self.p_adjusted, "num_needed": self.num_needed, "notes": list(c.notes)}
            found["turned_worse"] = [node_id(c.metric.task, i) for i in c.worse]
            found["turned_better"] = [node_id(c.metric.task, i) for i in c.better]
        return found


def judge(
    run: StoredRun,
    gates: Sequence[Gate],
    baseline: StoredRun | None = None,
    *,
    num_runs: int = 1,
    find_task: FindTask | None = None,
) -> list[Verdict]:
    """Judge a run.

    Args:
        run: Finished.
        gates: What is demanded; a gate that names no metric becomes one a metric.
        baseline: What gates about a difference are judged against.
        num_runs: See `decide`.
        find_task: See `compare`.
    """
    verdicts: list[Verdict] = []
    compared: dict[Metric, Comparison] = {}
    for gate in gates:
        metrics = _metrics(run, gate)
        if not metrics:
            verdicts.append(Verdict(gate=gate, outcome="unjudged", reason=_no_metric(run, gate)))
        for metric in metrics:
            if not isinstance(gate.rule, Rule):
                verdicts.append(_under(run, gate, metric))
                continue
            if baseline is None:
                reason = "no baseline to compare with; name one with --lmms-baseline"
                verdicts.append(Verdict(gate=gate, metric=metric, outcome="unjudged", reason=reason))
                continue
            if metric not in compared:
                try:
                    compared[metric] = compare(run, baseline, metric, find_task=find_task)
                except LmmsError as e:
                    verdicts.append(Verdict(gate=gate, metric=metric, outcome="unjudged", reason=str(e)))
                    continue
            verdicts.append(Verdict(gate=gate, metric=metric, outcome="unjudged", reason="", value=run.value(metric),
                                    comparison=compared[metric]))  # fmt: skip
    return decide(verdicts, num_runs=num_runs)


def _metrics(run: StoredRun, gate: Gate) -> list[Metric]:
    """What a gate is about; without a metric's name, all whose direction is known. Of groups only what is named."""
    groups = run.groups if gate.task in run.groups and not gate.needs_baseline else []
    return [
        metric
        for task in [*run.tasks, *groups]
        if gate.task in (None, task)
        for metric in run.metrics(task)
        if (metric.name == gate.metric or (gate.metric is None and run.higher_is_better(metric) is not None))
        and gate.filter in (None, metric.filter)
    ]


def _no_metric(run: StoredRun, gate: Gate) -> str:
    known = sorted({str(m) for task in run.tasks for m in run.metrics(task)})
    names = sorted({m.name for task in run.tasks for m in run.metrics(task)})
    wanted = "/".join(n for n in (gate.task, gate.metric) if n) or "metric"
    close = did_you_mean(gate.metric or "", names)
    hint = f"; did you mean {close}?" if close and close != gate.metric else "."
    return f"the run has no {wanted}{hint} It has: {', '.join(known) or 'no metric'}"


def _under(run: StoredRun, gate: Gate, metric: Metric) -> Verdict:
    assert not isinstance(gate.rule, Rule)  # noqa: S101
    value, better = run.value(metric), run.higher_is_better(metric)
    if value is None or better is None:
        why = "has no number" if value is None else "says not whether more is better"
        return Verdict(gate=gate, metric=metric, value=value, outcome="unjudged", reason=f"{metric} {why}")
    holds = value >= gate.rule if better else value <= gate.rule
    relation = ("at least" if better else "at most") if holds else ("below" if better else "above")
    return Verdict(
        gate=gate, metric=metric, value=value, outcome="pass" if holds else "fail",
        reason=f"{value:.4g} is {relation} {gate.rule:g}",
    )  # fmt: skip


# --- differences ---------------------------------------------------------------------------------------------------


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
        if not c.effect_from:
            return False
        return -c.sign * (c.effect or 0.0) > abs(c.effect_from) * size.number / 100 * _ROUNDING
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
    room = allowed + _gain(c)
    level = _alpha(verdict.gate) or (1 - CONFIDENCE) / 2
    needed = 0.0
    if room > 0:
        needed = (NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * c.std / room) ** 2
    elif _gain(c):
        needed = (NormalDist().inv_cdf(1 - level) * c.std / _gain(c)) ** 2
    num_needed = max(c.num_pairs + 1, math.ceil(needed))
    reason = f"{said}: a drop of {margin} is neither shown nor ruled out; {num_needed:,} documents would decide"
    return replace(verdict, outcome="inconclusive", reason=reason, num_needed=num_needed)


def _in_words(c: Comparison) -> str:
    parts = []
    if c.effect is not None and c.effect_from is not None:
        parts.append(f"{c.effect_from:.4g} -> {c.effect_from + c.effect:.4g} ({c.effect:+.4g})")
    if c.mean_difference is not None:
        unit, scale = ("pt", 100) if c.points == 0.01 else ("", 1)
        text = f"{scale * c.mean_difference:+.2f}{unit}"
        if c.low is not None and c.high is not None:
            text += f" [{scale * c.low:+.2f}, {scale * c.high:+.2f}]"
        parts.append(f"{text}, p={c.p_worse:.2g}, n={c.num_pairs:,}" if c.p_worse is not None else text)
    return " ".join(parts)


def summary(
    verdicts: Sequence[Verdict], run: StoredRun, baseline: StoredRun | None, *, num_runs: int = 1
) -> Mapping[str, Any]:
    """The `gates` section of results.json; `num_runs` is what `judge` was given."""
    return {
        "baseline": str(baseline.path) if baseline is not None else None,
        "failed": sum(v.is_failure for v in verdicts),
        "num_runs": num_runs,
        "verdicts": [v.to_json(run.node_id) for v in verdicts],
    }
