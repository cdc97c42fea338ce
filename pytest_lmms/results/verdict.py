"""What became of a gate. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pytest_lmms.results.comparison import Comparison
from pytest_lmms.results.rules import Gate, Rule
from pytest_lmms.results.runs import Metric

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
            "name": self.name,  # of the metric, where there is one
            "title": self.name,
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
