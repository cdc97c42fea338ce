"""Results as a table for a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import ANSWER_TRUNCATED, PROMPT_TRUNCATED
from pytest_lmms.results.efficiency import PERCENTILES
from pytest_lmms.results.gate_report import WORDS
from pytest_lmms.results.uncertainty import shown_error

_REPEAT_FIGURE = re.compile(r"_(expected_accuracy|consensus_accuracy|internal_variance|consistency_rate|pass@\d+)$")

LONGEST_PART = 100
"""Characters of a part's name that are shown: a dataset's column may hold anything, and every line is as wide."""


def results_table(results: Mapping[str, Any]) -> list[str]:
    """Lay out what `results.json` holds: a line a metric, with its error and the task's counts; then the groups."""
    by_task = results["higher_is_better"]
    lines = _table("Task", results["results"], by_task)
    groups = results.get("groups") or {}
    if groups:
        merged = {metric: better for task in by_task.values() for metric, better in task.items()}
        lines += ["", *_table("Group", groups, dict.fromkeys(groups, merged))]
    return lines


def runs_table(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lay out several runs' `results.json` as one table; none without a run.

    Args:
        runs: What each is called, and its results.
    """
    rows: list[list[str]] = []
    for label, results in runs.items():
        found = _rows(results["results"], results["higher_is_better"])
        rows += [[label if not i else "", *row] for i, row in enumerate(found)]
    return _shown_columns(["Run", *_HEAD], rows) if rows else []


def verdicts_table(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lay out the gates of several runs as one table; none without a gate.

    Args:
        runs: What each is called, and its `results.json`.
    """
    judged = {label: results["gates"] for label, results in runs.items() if results.get("gates")}
    rows = [
        [label if not i else "", WORDS[v["outcome"]], v.get("title", v["name"]), v["reason"].partition("\n")[0]]
        for label, gates in judged.items()
        for i, v in enumerate(gates["verdicts"])
    ]
    if not rows:
        return []
    num_runs = max(gates["num_runs"] for gates in judged.values())
    shared = f"; p values are corrected for {num_runs} runs with a baseline" if num_runs > 1 else ""
    failed = sum(gates["failed"] for gates in judged.values())
    lines = _layout([["Run", "Verdict", "Gate", "Found"], *rows], left={0, 1, 2, 3})
    return ["", *lines, f"{failed} of {len(rows)} gates failed{shared}"]


_HEAD = ["Task", "Filter", "Metric", "", "Value", "± Error", "Docs", "Unparsed", "Filtered", "Errors"]
_ALWAYS = {"Run", "Task", "Group", "Metric", "", "Value", "± Error", "Docs"}
_TEXTS = {"Run", "Task", "Group", "Filter", "Metric", ""}


def _table(
    kind: str, entries: Mapping[str, Any], higher_is_better: Mapping[str, Mapping[str, bool | None]]
) -> list[str]:
    return _shown_columns([kind, *_HEAD[1:]], _rows(entries, higher_is_better))


def _shown_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows out, without columns that tell nothing."""
    keep = [i for i, name in enumerate(head) if name in _ALWAYS or any(_tells(r[i]) for r in rows)]
    shown = [[r[i] for i in keep] for r in [head, *rows]]
    return _layout(shown, left={place for place, i in enumerate(keep) if head[i] in _TEXTS})


def _rows(entries: Mapping[str, Any], higher_is_better: Mapping[str, Mapping[str, bool | None]]) -> list[list[str]]:
    rows: list[list[str]] = []
    for name, values in entries.items():
        alias = "  " * values.get("depth", 0) + str(values["alias"])
        first = True
        for key, value in values.items():
            metric, comma, rest = key.partition(",")
            if not comma or "," in rest or _is_error(metric, rest, values):
                continue
            better = higher_is_better.get(name, {}).get(metric)
            counts = [
                str(values["n_scored"] + values["n_unparsed"] + values["n_filtered"]),
                str(values["n_unparsed"] or "-"), str(values["n_filtered"] or "-"), str(values["n_error"] or "-"),
            ]  # fmt: skip
            rows.append([
                alias if first else "", rest, _shown(metric), {True: "↑", False: "↓", None: ""}[better],
                _number(value), _error(values, metric, rest), *(counts if first else [""] * 4),
            ])  # fmt: skip
            for part, score in (values.get(f"{key},sub_scores") or {}).items():
                rows.append(["", "", f"  {_part(part)}", "", _number(score), "", "", "", "", ""])
            first = False
        if first:
            unscored = values.get("n_unscored", 0)
            rows.append([alias, "", "(not scored)" if unscored else "(no metric)", "", "", "", *(
                str(n or "-") for n in (values["n_scored"] + unscored, values["n_unparsed"], values["n_filtered"],
                                        values["n_error"]))])  # fmt: skip
    return rows


def _shown(metric: str) -> str:
    """A metric's name; of a figure over repeats only the figure, below its metric."""
    figure = _REPEAT_FIGURE.search(metric)
    return f"  {figure[1]}" if figure else metric


def _part(name: str) -> str:
    """A part's name, of whatever length and form the dataset has it, on one line beside the others."""
    line = " ".join(name.split())
    return line if len(line) <= LONGEST_PART else f"{line[:LONGEST_PART]}..."


def _tells(cell: str) -> bool:
    return cell not in ("", "-", "none")


def _is_error(metric: str, filter_name: str, values: Mapping[str, Any]) -> bool:
    return any(
        metric.endswith(suffix) and f"{metric.removesuffix(suffix)},{filter_name}" in values
        for suffix in ("_stderr", "_stderr_clt", "_stderr_clustered")
    )


def _error(values: Mapping[str, Any], metric: str, filter_name: str) -> str:
    error = shown_error(values, metric, filter_name)
    return "" if error is None else f"{error:.4f}"


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        text = str(value)
        return text if len(text) <= 24 else text[:21] + "..."
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.2f}"


def _layout(rows: Sequence[Sequence[str]], *, left: set[int]) -> list[str]:
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
        for r in rows
    ]
    return [lines[0].rstrip(), "-" * len(lines[0].rstrip()), *(line.rstrip() for line in lines[1:])]


FLAG_TEXTS = {
    ANSWER_TRUNCATED: "answers ended at max_new_tokens or the end of the context",
    PROMPT_TRUNCATED: "prompts do not fit into the model's context",
}
"""Flags that change what a score means, and are told on the terminal."""


def flag_lines(results: Mapping[str, Any]) -> list[str]:
    """One line for each task and flag that changes what its score means; the records say which documents."""
    return [
        f"{task}: {number:,} {FLAG_TEXTS[flag]} (flag {flag} in samples_{task}.jsonl)"
        for task, flags in results.get("flags", {}).items()
        for flag, number in flags.items()
        if flag in FLAG_TEXTS
    ]


MAX_TASKS_NAMED = 3


def unjudged_lines(results: Mapping[str, Any]) -> list[str]:
    """One line for each set of metrics that have no value because no judge was asked."""
    tasks: dict[tuple[str, ...], list[str]] = {}
    for task, metrics in results.get("unjudged", {}).items():
        tasks.setdefault(tuple(metrics), []).append(task)
    return [
        f"Not scored without a judge (--lmms-judge): {', '.join(metrics)} of {_named(names)}"
        for metrics, names in tasks.items()
    ]


def not_computed_lines(results: Mapping[str, Any]) -> list[str]:
    """One line for each metric that has no value because something is missing on this machine."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for task, metrics in results.get("not_computed", {}).items():
        for metric, why in metrics.items():
            tasks.setdefault((metric, why), []).append(task)
    return [f"Not computed: {metric} of {_named(names)}: {why}" for (metric, why), names in tasks.items()]


def _named(tasks: Sequence[str]) -> str:
    rest = len(tasks) - MAX_TASKS_NAMED
    return ", ".join(tasks[:MAX_TASKS_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def efficiency_line(results: Mapping[str, Any]) -> str | None:
    """Tokens and speed in one line; None when the backend tells nothing."""
    overall, throughput = results["efficiency"]["overall"], results["throughput"]
    parts = []
    if overall["total_output_tokens"] is not None:
        parts.append(f"{overall['total_output_tokens']:,} output tokens")
    if throughput["avg_speed"] is not None:
        parts.append(f"{throughput['avg_speed']:,.1f} tokens/s")
    if throughput["total_elapsed_time"] is not None:
        parts.append(f"{throughput['total_elapsed_time']:.1f} s answering")
    if overall["tokens_per_correct_answer"] is not None:
        parts.append(f"{overall['tokens_per_correct_answer']:,.1f} tokens a correct answer")
    for key, name in (("ttft_seconds", "TTFT"), ("tpot_seconds", "TPOT")):
        for source, values in (throughput[key] or {}).items():
            shown = " ".join(f"p{p} {values[f'p{p}'] * 1000:,.0f} ms" for p in PERCENTILES)
            parts.append(f"{name} {shown} ({source})")
    return " · ".join(parts) or None
