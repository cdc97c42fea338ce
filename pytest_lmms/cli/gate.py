"""`pytest-lmms gate`: judge a finished run by what `--lmms-fail-on-regression` and `--lmms-fail-under` demand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_lmms.cli.shared import DIFFERS, OK, add_include_path, finder_of, print_json
from pytest_lmms.errors import UsageError, explain
from pytest_lmms.results.remote import local_runs


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser.add_argument("run_path", metavar="RUN", help="a run folder, a results.json, or an address of one")
    parser.add_argument("--baseline", metavar="RUN|last:NAME", help="a finished run to compare with")
    text = "[METRIC:]RULE, several separated by commas; without one, 1pt and p<0.01 and within 5pt"
    parser.add_argument("--fail-on-regression", nargs="?", const="default", metavar="RULES", help=text)
    text = "METRIC=VALUE, several separated by commas"
    parser.add_argument("--fail-under", metavar="METRIC=VALUE", help=text)
    text = "keep the run as a baseline of that name, unless a gate fails"
    parser.add_argument("--save-baseline", metavar="NAME", help=text)
    text = "where baselines with a name lie (default .lmms/baselines)"
    parser.add_argument("--store", type=Path, default=Path(".lmms/baselines"), metavar="DIR", help=text)
    add_include_path(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.set_defaults(run=_gate)


def _gate(parsed: argparse.Namespace) -> int:
    with local_runs([parsed.run_path], where="gate") as (path,):
        return _gate_local(parsed, path)


def _gate_local(parsed: argparse.Namespace, path: Path) -> int:
    from pytest_lmms.results.baselines import find_baseline, save_baseline
    from pytest_lmms.results.gate import judge, summary
    from pytest_lmms.results.gate_report import markdown, verdict_line, verdict_lines
    from pytest_lmms.results.rules import Gate, parse_regression, parse_under
    from pytest_lmms.results.runs import read_run
    from pytest_lmms.values import baseline_name

    if parsed.save_baseline is not None:
        baseline_name(parsed.save_baseline, "--save-baseline")
    gates: list[Gate] = []
    if parsed.fail_on_regression is not None:
        gates += parse_regression(parsed.fail_on_regression, "--fail-on-regression")
        if parsed.baseline is None:
            raise UsageError(explain("nothing to compare with", where="--fail-on-regression", remedy="name --baseline"))
    if parsed.fail_under is not None:
        gates += parse_under(parsed.fail_under, "--fail-under")
    if not gates and parsed.save_baseline is None:
        raise UsageError(explain("nothing is demanded", where="gate", expected="--fail-on-regression or --fail-under"))
    baseline = find_baseline(parsed.baseline, parsed.store, where="--baseline") if parsed.baseline else None
    run = read_run(path)
    verdicts = judge(run, gates, baseline, find_task=finder_of(parsed))
    if parsed.json:
        print_json(summary(verdicts, run, baseline))
    elif parsed.markdown:
        print(markdown(verdicts, run, baseline), end="")
    else:
        for verdict in verdicts:
            print(verdict_line(verdict))
            if verdict.outcome != "pass":
                print(*list(verdict_lines(verdict, run))[1:], sep="\n")
    if any(v.is_failure for v in verdicts):
        return DIFFERS
    if parsed.save_baseline is not None:
        kept = save_baseline(parsed.store, parsed.save_baseline, run.path.parent)
        print(f"saved as baseline {parsed.save_baseline}: {kept}", file=sys.stderr)
    return OK
