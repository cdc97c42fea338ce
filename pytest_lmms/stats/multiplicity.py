"""Several tests at once: p values adjusted so that all of them together err as rarely as one alone."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979).

    With the adjusted values compared to alpha, the probability that any true null hypothesis is rejected is alpha at
    most, whatever the dependence between the tests.

    Args:
        p_values: 0 to 1, in any order.

    Returns:
        Adjusted values in the same order, 0 to 1, none below its own p value.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
