"""Gates: does a run meet what is demanded of it?

Pure decisions over two `StoredRun`s. A gate fails, passes, or is inconclusive; one that cannot be judged, because its
metric does not exist or the runs are not comparable, is `unjudged`, which counts as failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.errors import LmmsError, did_you_mean
from pytest_lmms.results.compare import compare
from pytest_lmms.results.comparison import Comparison
from pytest_lmms.results.corpus import FindTask
from pytest_lmms.results.decide import decide
from pytest_lmms.results.rules import Gate, Rule
from pytest_lmms.results.runs import Metric, StoredRun
from pytest_lmms.results.verdict import Verdict


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
        metrics = _metrics(run, gate, baseline)
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


def _metrics(run: StoredRun, gate: Gate, baseline: StoredRun | None) -> list[Metric]:
    """What a gate is about. Of groups only what is named.

    Without a metric's name, all whose direction is known and that have a number, which a file for a benchmark's server
    has not.
    """
    groups = run.groups if gate.task in run.groups and not gate.needs_baseline else []
    return [
        metric
        for task in [*run.tasks, *groups]
        if gate.task in (None, task)
        for metric in run.metrics(task)
        if gate.is_about(metric.name, metric.filter)
        and (gate.metric is not None or _is_measured(metric, run, baseline))
    ]


def _is_measured(metric: Metric, run: StoredRun, baseline: StoredRun | None) -> bool:
    has_number = any(r is not None and r.value(metric) is not None for r in (run, baseline))
    return has_number and run.higher_is_better(metric) is not None


def _no_metric(run: StoredRun, gate: Gate) -> str:
    known = sorted({str(m) for task in run.tasks for m in run.metrics(task)})
    names = sorted({m.name for task in run.tasks for m in run.metrics(task)})
    wanted = "/".join(n for n in (gate.task, gate.metric) if n) or "metric"
    wanted += f"@{gate.filter}" if gate.filter else ""
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
