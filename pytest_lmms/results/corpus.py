"""Metrics that are computed over all documents together, such as BLEU: which they are, and how they are resampled."""

from __future__ import annotations

from pytest_lmms.results.runs import Metric, StoredRun
from pytest_lmms.scoring.metrics import AGGREGATIONS, METRICS

BOOTSTRAPPED = {"median": 1000, "f1": 1000, "matthews_corrcoef": 1000, "perplexity": 1000,
                "bleu": 100, "chrf": 100, "ter": 100}  # fmt: skip
"""Aggregations whose standard error is bootstrapped, with the number of resamples."""
BOOTSTRAP_SEED = 1234
FRACTIONS = frozenset({"f1", "matthews_corrcoef", "acc_all", "brier_score", "mean"})
"""Aggregations of which one point is a hundredth."""


def aggregation_of(run: StoredRun, metric: Metric) -> str | None:
    """The name in `AGGREGATIONS` of what aggregated a metric; None for a task's own code.

    Such code is not run again: it may write files or ask somebody, and would do so for every draw.
    """
    config = (run.results.get("configs") or {}).get(metric.task) or {}
    for entry in config.get("metric_list") or ():
        if isinstance(entry, dict) and entry.get("metric") == metric.name and "aggregation" in entry:
            name = entry["aggregation"]
            return name if name in AGGREGATIONS else None
    known = METRICS.get(metric.name)
    return known.aggregation if known is not None else None
