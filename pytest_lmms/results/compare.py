"""Two runs on the same documents: are they comparable, by how much do they differ, how sure is that?

Pure: what it needs of a run is a `Metric`'s documents and two numbers. Decides nothing (see `gate`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pytest_lmms import stats
from pytest_lmms.errors import counted
from pytest_lmms.results.comparison import CONFIDENCE, Comparison, aggregates_only, another_version
from pytest_lmms.results.corpus import FindTask
from pytest_lmms.results.resampled import over_corpus
from pytest_lmms.results.runs import DocumentScore, Metric, StoredRun

_SAME_TASK = ("dataset_path", "dataset_name", "test_split", "validation_split")
_SAME_SETTINGS = ("generation_kwargs", "num_fewshot", "repeats", "output_type", "metadata")
_SAME_OPTIONS = ("data", "gen_kwargs", "num_fewshot", "fewshot_as_multiturn", "system_instruction", "repeats",
                 "reasoning_tags")  # fmt: skip
_DIGITS = 9


def compare(run: StoredRun, baseline: StoredRun, metric: Metric, *, find_task: FindTask | None = None) -> Comparison:
    """Compare one metric of two runs, document by document.

    Args:
        run: Finished.
        baseline: Finished.
        metric: Of the run.
        find_task: Gives the task whose own code aggregates a metric, which then can be computed on drawn documents.

    Returns:
        With `obstacle` set where the runs cannot be compared, and no numbers but the aggregates then.
    """
    aggregates: dict[str, Any] = {
        "metric": metric,
        "higher_is_better": run.higher_is_better(metric),
        "value": run.value(metric),
        "baseline": baseline.value(metric),
    }
    if metric.task not in baseline.results["results"]:
        return Comparison(**aggregates, obstacle=f"the baseline has no task {metric.task}")
    if (why := unlike(run, baseline, metric.task)) is not None:
        return Comparison(**aggregates, obstacle=why)
    here, there = run.scores(metric), baseline.scores(metric)
    if not here and not there:
        return over_corpus(run, baseline, aggregates, find_task)
    return pair(here, there, **aggregates)


def unlike(run: StoredRun, baseline: StoredRun, task: str) -> str | None:
    """Say how the two runs asked a task differently; None when they asked alike.

    Models and their arguments may differ, as may what chooses documents. Of a run by lmms-eval, which writes down
    defaults that we do not, only the dataset and the number of examples are compared.
    """
    first, second = ((r.results.get("configs") or {}).get(task) or {} for r in (run, baseline))
    is_foreign = run.is_foreign or baseline.is_foreign
    for key in _SAME_TASK if is_foreign else (*_SAME_TASK, *_SAME_SETTINGS):
        if first.get(key) != second.get(key):
            return f"{key} of the task differs: {first.get(key)!r}, baseline {second.get(key)!r}"
    shots = [(r.results.get("n-shot") or {}).get(task) or 0 for r in (run, baseline)]
    if shots[0] != shots[1]:
        return f"examples before each document differ: {shots[0]}, baseline {shots[1]}"
    if is_foreign:
        return None
    options = [(r.results.get("config") or {}).get("resolved_cli_args") or {} for r in (run, baseline)]
    for key in _SAME_OPTIONS:
        if options[0].get(key) != options[1].get(key):
            return f"{key} differs: {options[0].get(key)!r}, baseline {options[1].get(key)!r}"
    return None


def pair(here: Mapping[int, DocumentScore], there: Mapping[int, DocumentScore], **aggregates: Any) -> Comparison:
    """Compare documents by row number.

    Args:
        here: Scores of the run.
        there: Scores of the baseline.
        **aggregates: `metric`, `higher_is_better`, `value` and `baseline` of the comparison.
    """
    common = sorted(here.keys() & there.keys())
    if not here and not there:
        return aggregates_only("", aggregates)
    if not common:
        return Comparison(**aggregates, obstacle="no common documents")
    if (why := another_version(here, there, common)) is not None:
        return Comparison(**aggregates, obstacle=why)
    a, b = [here[i].value for i in common], [there[i].value for i in common]
    clusters = [here[i].cluster for i in common]
    is_clustered = None not in clusters
    sign = -1 if aggregates["higher_is_better"] is False else 1
    difference = stats.paired_difference(a, b, clusters if is_clustered else None, confidence=CONFIDENCE)
    tested: stats.PairedDifference | stats.McNemar = difference
    test = "clustered t test" if is_clustered else "paired t test"
    if not is_clustered and {*a, *b} <= {0.0, 1.0}:
        tested, test = stats.mcnemar(a, b), "McNemar's test"
    p_worse = tested.p_less
    if sign < 0 and p_worse is not None:
        p_worse = 1 - p_worse
    num_unpaired = len(here.keys() ^ there.keys())
    losses = sorted((sign * (x - y), i) for i, x, y in zip(common, a, b, strict=True) if x != y)
    prompts = sum(here[i].prompt != there[i].prompt for i in common)
    notes: list[str] = []
    if num_unpaired:
        notes.append(f"{counted(num_unpaired, 'document')} scored by one of the two only")
    if prompts:
        notes.append(f"the prompts of {counted(prompts, 'document')} differ")
    error = difference.standard_error
    is_fraction = all(0 <= x <= 1 for x in (*a, *b))
    most = 1.0 if is_fraction else math.inf  # no two means of such scores lie further apart
    effect, effect_from = _effect(here, there, common, aggregates)
    return Comparison(
        **aggregates,
        effect=effect,
        effect_from=effect_from,
        num_pairs=len(common),
        num_unpaired=num_unpaired,
        mean_difference=difference.mean,
        low=None if difference.low is None else max(-most, difference.low),
        high=None if difference.high is None else min(most, difference.high),
        p_value=tested.p_value,
        p_worse=p_worse,
        test=test,
        std=None if error is None else error * math.sqrt(len(common)),
        points=0.01 if is_fraction else 1.0,
        worse=tuple(i for loss, i in losses if loss < 0),
        better=tuple(i for loss, i in reversed(losses) if loss > 0),
        notes=tuple(notes),
    )


def _effect(
    here: Mapping[int, DocumentScore],
    there: Mapping[int, DocumentScore],
    common: list[int],
    aggregates: Mapping[str, Any],
) -> tuple[float | None, float | None]:
    """Difference of the metric over the common documents, and the baseline's value it starts from.

    A metric that is the mean of its documents (or a hundred times that) can be told over any of them; another one only
    where both runs scored the same documents.
    """
    value, baseline = aggregates["value"], aggregates["baseline"]
    if value is None or baseline is None:
        return None, None
    if here.keys() == there.keys():
        return value - baseline, baseline
    for factor in (1.0, 100.0):
        if _is_mean(here, value / factor) and _is_mean(there, baseline / factor):
            means = [factor * math.fsum(s[i].value for i in common) / len(common) for s in (here, there)]
            return means[0] - means[1], means[1]
    return None, None


def _is_mean(scores: Mapping[int, DocumentScore], value: float) -> bool:
    mean = math.fsum(s.value for s in scores.values()) / len(scores)
    return math.isclose(mean, value, rel_tol=10**-_DIGITS, abs_tol=10**-_DIGITS)
