"""Standard errors as people are shown them. Data only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

DOCUMENT_MEANS = "document_means"
"""Of a task's results: by metric and filter, the mean of what documents scored by themselves.

Clustered errors, as lmms-eval defines them, are on its scale, which is not always the metric's.
"""


def shown_error(values: Mapping[str, Any], metric: str, filter_name: str) -> float | None:
    """A metric's standard error on the metric's own scale, for people; the clustered one where there is one.

    Args:
        values: The task's entry of `results`.
        metric: With an entry there.
        filter_name: Its filter.

    Returns:
        None without one, and where the metric is neither the mean of its documents nor a hundred times that.
    """
    key = f"{metric},{filter_name}"
    plain, clustered = (values.get(f"{metric}_{kind},{filter_name}") for kind in ("stderr", "stderr_clustered"))
    if not _is_number(clustered):
        return plain if _is_number(plain) else None
    mean, value = (values.get(DOCUMENT_MEANS) or {}).get(key), values.get(key)
    if not _is_number(mean) or not _is_number(value):
        return clustered
    return next((clustered * scale for scale in (1, 100) if math.isclose(value, scale * mean, rel_tol=0.01)), None)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
