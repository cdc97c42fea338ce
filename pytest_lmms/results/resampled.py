"""Two runs compared by a metric over all documents together: computed anew on documents drawn again.

Pure but for code of tasks, which `corpus` guards. Decides nothing (see `gate`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms import stats
from pytest_lmms.errors import LmmsError, counted
from pytest_lmms.results.comparison import CONFIDENCE, Comparison, aggregates_only, another_version
from pytest_lmms.results.corpus import BOOTSTRAP_SEED, CannotResample, FindTask, resampling_of
from pytest_lmms.results.runs import Metric, StoredRun


def over_corpus(
    run: StoredRun, baseline: StoredRun, aggregates: Mapping[str, Any], find_task: FindTask | None
) -> Comparison:
    """Compare a metric whose documents have no number of their own, by computing it anew on resampled documents."""
    metric: Metric = aggregates["metric"]
    if aggregates["value"] is None or aggregates["baseline"] is None:
        return aggregates_only("", aggregates)
    here, there = run.items(metric), baseline.items(metric)
    common = sorted(here.keys() & there.keys())
    if not common:
        return aggregates_only("the samples hold no items of it", aggregates)
    if (why := another_version(here, there, common)) is not None:
        return Comparison(**aggregates, obstacle=why)
    clusters = [here[i].cluster for i in common]
    is_clustered = None not in clusters
    name = "its aggregation"
    try:
        resampling = resampling_of(run, baseline, metric, find_task)
        name = resampling.name
        first, second = [here[i].item for i in common], [there[i].item for i in common]
        found = stats.bootstrap_difference(
            first, second, resampling.statistic, clusters if is_clustered else None,
            iterations=resampling.iterations, seed=BOOTSTRAP_SEED, confidence=CONFIDENCE,
        )  # fmt: skip
        effect_from = float(resampling.statistic(second))
        if resampling.is_own:
            _check_values(found, effect_from, aggregates, [here.keys() == set(common), there.keys() == set(common)])
    except LmmsError as e:
        return aggregates_only(str(e).replace("\n", " "), aggregates)
    except Exception as e:  # noqa: BLE001  (items and code of strangers, in any form)
        return aggregates_only(f"{name} of its items failed with {type(e).__name__}: {e}", aggregates)
    p_worse, num_unpaired = found.p_less, len(here.keys() ^ there.keys())
    if aggregates["higher_is_better"] is False and p_worse is not None:
        p_worse = 1 - p_worse
    notes = [f"{counted(num_unpaired, 'document')} scored by one of the two only"] if num_unpaired else []
    error, points = found.standard_error, resampling.points
    if points is None:
        points = 0.01 if max(abs(aggregates["value"]), abs(aggregates["baseline"])) <= 1 else 1.0
    return Comparison(
        **aggregates,
        effect=found.mean,
        effect_from=effect_from,
        num_pairs=len(common),
        num_unpaired=num_unpaired,
        mean_difference=found.mean,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        p_worse=p_worse,
        test="clustered bootstrap" if is_clustered else "paired bootstrap",
        std=None if error is None else error * math.sqrt(len(common)),
        points=points,
        notes=tuple(notes),
    )


def _check_values(
    found: stats.PairedDifference, effect_from: float, aggregates: Mapping[str, Any], is_whole: Sequence[bool]
) -> None:
    """Refuse code of a task that is not what made the values of runs, or gives another value each time.

    Args:
        found: The difference, as resampling began with it.
        effect_from: The baseline's value, computed after resampling.
        aggregates: With the values that the runs say.
        is_whole: Of run and baseline: whether all their documents are common ones, so that their values can be told.
    """
    computed = (effect_from + (found.mean or 0.0), effect_from)
    for value, said, whole in zip(computed, (aggregates["value"], aggregates["baseline"]), is_whole, strict=True):
        if whole and not math.isclose(value, said, rel_tol=1e-6, abs_tol=1e-9):
            raise CannotResample(
                f"computed anew from the items it is {value:.6g} where the run says {said:.6g}: the task's code or its"
                " items are not what they were"
            )
