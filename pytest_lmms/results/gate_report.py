"""Verdicts as text: for a terminal, for a test report, and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_lmms.errors import counted
from pytest_lmms.results.runs import StoredRun
from pytest_lmms.results.verdict import Verdict

WORDS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE", "unjudged": "NOT JUDGED"}
_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "unjudged": "❌"}
DOCUMENTS_SHOWN = 10


def verdict_line(verdict: Verdict) -> str:
    """`FAIL mme/exact_match: 2%  0.81 -> 0.77 (-0.04) ...`."""
    return f"{WORDS[verdict.outcome]:12} {verdict.name}  {verdict.reason}"


def verdict_lines(verdict: Verdict, run: StoredRun, *, shown: int = DOCUMENTS_SHOWN) -> Iterator[str]:
    """A verdict with what else is known: how it was tested, and the documents that got worse, as node ids.

    Args:
        verdict: The verdict.
        run: Whose node ids to show.
        shown: Documents that are named.
    """
    yield verdict.reason
    if verdict.gate.where:
        yield f"  demanded by {verdict.gate.where}: {verdict.gate}"
    c = verdict.comparison
    if c is None:
        return
    if c.test is not None and c.p_worse is not None:
        adjusted = ""
        if verdict.p_adjusted is not None and verdict.p_adjusted != c.p_worse:
            adjusted = f", {verdict.p_adjusted:.2g} corrected for the number of gates and runs"
        yield f"  {c.test}, one-sided, on {c.num_pairs:,} common documents: p={c.p_worse:.2g}{adjusted}"
    for note in c.notes:
        yield f"  {note}"
    if c.worse:
        yield f"  {counted(len(c.worse), 'document')} got worse, {len(c.better):,} better. Worse:"
        for doc_id in c.worse[:shown]:
            yield f"    {run.node_id(c.metric.task, doc_id)}"
        if len(c.worse) > shown:
            yield f"    ... and {len(c.worse) - shown:,} more, in results.json"


def markdown(verdicts: Sequence[Verdict], run: StoredRun, baseline: StoredRun | None) -> str:
    """A table for `GITHUB_STEP_SUMMARY`, with the documents that got worse folded below it."""
    failed = sum(v.is_failure for v in verdicts)
    lines = [
        f"### Gates: {failed} of {len(verdicts)} failed" if failed else f"### Gates: none of {len(verdicts)} failed"
    ]
    lines += ["", f"Run `{run.name}`" + (f", baseline `{baseline.name}`" if baseline is not None else ""), ""]
    lines += ["| | Gate | What was found |", "| --- | --- | --- |"]
    lines += [
        f"| {_SIGNS[v.outcome]} {WORDS[v.outcome].lower()} | {_cell(v.name)} | {_cell(v.reason)} |" for v in verdicts
    ]
    for verdict in verdicts:
        c = verdict.comparison
        if c is None or not c.worse or verdict.outcome == "pass":
            continue
        title = f"{_cell(str(c.metric))}: {counted(len(c.worse), 'document')} got worse"
        lines += ["", f"<details><summary>{title}</summary>", ""]
        lines += ["```", *(run.node_id(c.metric.task, i) for i in c.worse[:100]), "```", "", "</details>"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
