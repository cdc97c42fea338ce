"""What a gate demands, read from text: `acc:1pt and p<0.01 and within 5pt`, `mme_perception_score=900`.

A rule about a baseline has up to three parts. *Tolerance* (`2%` of the baseline's value, or `0.5pt`, points: hundredths
of a score between 0 and 1) and *significance* (`p<0.05`, one-sided) together say when the gate fails. *Margin*
(`within 5pt`) says what drop must be ruled out for it to pass; between the two it is inconclusive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pytest_lmms.errors import UsageError, explain

Unit = Literal["%", "pt"]
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(%|pt)")
_LEVEL = re.compile(r"p\s*<\s*(\d*\.?\d+(?:e-?\d+)?)")
_NAME = r"(?:(?P<task>[^/\s:=<]+)/)?(?P<metric>[^/:=<%]+?)(?:@(?P<filter>[^@\s:=<]+))?"
EXPECTED = "[METRIC:]RULE, RULE of 2%, 0.5pt, p<0.05, within 5pt joined by `and`; several separated by commas"
EXPECTED_UNDER = "METRIC=VALUE, such as exact_match=0.8; several separated by commas"


@dataclass(frozen=True)
class Size:
    """How large a difference is."""

    number: float
    """0 or more."""
    unit: Unit
    """`%` of the baseline's value, or points."""

    def __str__(self) -> str:
        return f"{self.number:g}{self.unit}"


@dataclass(frozen=True)
class Rule:
    """What may not happen between a baseline and a run. At least one field is set."""

    tolerance: Size | None = None
    alpha: float | None = None
    margin: Size | None = None

    def __str__(self) -> str:
        parts = [str(self.tolerance) if self.tolerance else None, f"p<{self.alpha:g}" if self.alpha else None]
        return " and ".join([*(p for p in parts if p), *([f"within {self.margin}"] if self.margin else [])])


DEFAULT_RULE = Rule(tolerance=Size(1, "pt"), alpha=0.01, margin=Size(5, "pt"))
"""Larger than a point and significant fails; see `tools/gate_simulation.py` for how often it errs."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One demand on a run."""

    rule: Rule | float
    """About a baseline, or the value that the metric may not be worse than."""
    task: str | None = None
    """None: every task that has the metric."""
    metric: str | None = None
    """None: every metric whose direction is known."""
    filter: str | None = None
    where: str = ""
    """Who demands it: an option, or `file:line`."""
    whole_only: bool = False
    """Whether it is about complete runs only, as those of task YAMLs are."""

    @property
    def needs_baseline(self) -> bool:
        """Whether it is about a difference."""
        return isinstance(self.rule, Rule)

    def is_about(self, metric: str, filter_name: str) -> bool:
        """Whether a metric under a filter is meant; the `0.5` of `acc@0.5` is a filter, or belongs to the name."""
        if self.filter is not None and metric == f"{self.metric}@{self.filter}":
            return True
        return self.metric in (None, metric) and self.filter in (None, filter_name)

    def __str__(self) -> str:
        name = "/".join(n for n in (self.task, self.metric) if n)
        name += f"@{self.filter}" if self.filter else ""
        if isinstance(self.rule, Rule):
            return f"{name}: {self.rule}" if name else str(self.rule)
        return f"{name}={self.rule:g}"


def parse_rule(text: str, where: str) -> Rule:
    """Read a rule about a baseline; `default` is `DEFAULT_RULE`.

    Raises:
        UsageError: It is none.
    """
    if text.strip() == "default":
        return DEFAULT_RULE
    found: dict[str, Any] = {}
    for part in re.split(r"\s+and\s+", text.strip()):
        words = part.removeprefix("within ").strip()
        if match := _SIZE.fullmatch(words):
            name, value = ("margin" if words != part else "tolerance"), Size(float(match[1]), match[2])  # type: ignore[arg-type]
        elif match := _LEVEL.fullmatch(part):
            name, value = "alpha", float(match[1])  # type: ignore[assignment]
            if not 0 < value < 1:  # type: ignore[operator]
                raise UsageError(explain(f"p<{match[1]}", where=where, expected="a level between 0 and 1"))
        else:
            raise UsageError(explain(f"{part!r} is no rule", where=where, expected=EXPECTED))
        if name in found:
            raise UsageError(explain(f"{text!r} says its {name} twice", where=where, expected=EXPECTED))
        found[name] = value
    return Rule(**found)


def parse_regression(text: str, where: str) -> tuple[Gate, ...]:
    """Read gates about a baseline, separated by commas.

    Raises:
        UsageError: One is none.
    """
    gates = []
    for entry in _entries(text, where, EXPECTED):
        name, colon, rule = entry.rpartition(":")
        gates.append(Gate(rule=parse_rule(rule, where), where=where, **(_names(name, where) if colon else {})))
    return tuple(gates)


def parse_under(text: str, where: str) -> tuple[Gate, ...]:
    """Read the least values that metrics must have: `METRIC=VALUE`, separated by commas.

    Raises:
        UsageError: One is none.
    """
    gates = []
    for entry in _entries(text, where, EXPECTED_UNDER):
        name, equals, value = entry.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not equals or number != number:  # noqa: PLR0124  (not a number)
            raise UsageError(explain(f"{entry!r}", where=where, expected=EXPECTED_UNDER))
        gates.append(Gate(rule=number, where=where, **_names(name, where)))
    return tuple(gates)


def gates_of_task(task: str, entries: Any, where: str) -> tuple[Gate, ...]:
    """Read `gates:` of a task YAML.

    Args:
        task: Its name.
        entries: A list of `{metric: ..., filter: ..., fail_under: number}` and
            `{metric: ..., fail_on_regression: rule}`; both in one entry are two gates.
        where: `file:line`.

    Raises:
        UsageError: An entry is none of these.
    """
    gates = []
    for entry in [entries] if isinstance(entries, Mapping) else entries:
        known = {"metric", "filter", "fail_under", "fail_on_regression"}
        if not isinstance(entry, Mapping) or not entry.keys() <= known or len(entry.keys() & {*known} - {"metric"}) < 1:
            raise UsageError(
                explain(f"{entry!r} is no gate", where=where, expected="{metric: acc, fail_under: 0.8}, for example")
            )
        names = {"task": task, "metric": entry.get("metric"), "filter": entry.get("filter")}
        if "fail_under" in entry:
            if entry.get("metric") is None or isinstance(entry["fail_under"], bool):
                raise UsageError(explain(f"{entry!r}", where=where, expected="metric and fail_under: a number"))
            try:
                value = float(entry["fail_under"])
            except (TypeError, ValueError):
                raise UsageError(explain(f"{entry!r}", where=where, expected="fail_under: a number")) from None
            gates.append(Gate(rule=value, where=where, whole_only=True, **names))
        if "fail_on_regression" in entry:
            rule = parse_rule(str(entry["fail_on_regression"]), where)
            gates.append(Gate(rule=rule, where=where, whole_only=True, **names))
    return tuple(gates)


def _entries(text: str, where: str, expected: str) -> Iterator[str]:
    entries = [e.strip() for e in text.split(",")]
    if not all(entries):
        what = f"{text!r} has an empty entry" if text.strip() else "nothing is demanded"
        raise UsageError(explain(what, where=where, expected=expected))
    yield from entries


def _names(text: str, where: str) -> dict[str, Any]:
    match = re.fullmatch(_NAME, text.strip())
    if match is None:
        raise UsageError(explain(f"{text!r} names no metric", where=where, expected="[TASK/]METRIC[@FILTER]"))
    return match.groupdict()
