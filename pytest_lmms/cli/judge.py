"""`pytest-lmms judge check`: how far a judge agrees with people, on examples that they labelled."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmms.cli.shared import DIFFERS, OK, add_json, print_json, sentence
from pytest_lmms.errors import LmmsError, UsageError, explain

if TYPE_CHECKING:
    from pytest_lmms.judging import Judges
    from pytest_lmms.scoring.rubric import Rubric

FILE_HELP = (
    'JSON lines: {"document": {columns}, "response": "...", "target": "...", "label": {parts of the verdict}}; '
    "input and target may be left out where the rubric does not name them"
)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command and its own."""
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    text = "ask a judge about labelled examples, and say how far they agree"
    check = kinds.add_parser("check", help=text, description=sentence(text))
    check.add_argument("examples", type=Path, metavar="FILE", help=FILE_HELP)
    check.add_argument("--rubric", required=True, metavar="NAME|FILE", help="a benchmark, or a rubric.yaml")
    check.add_argument("--judge", required=True, metavar="NAME[:MODEL]", help="as for --lmms-judge")
    check.add_argument("--judge-args", default="", metavar="ARGS", help="as for --lmms-judge-args")
    least = "exit code 1 where a part of the verdict agrees less often than this, 0 to 1"
    check.add_argument("--least", type=float, metavar="SHARE", help=least)
    add_json(check)
    check.set_defaults(run=_check)


def _check(parsed: argparse.Namespace) -> int:
    from pytest_lmms.judging import Judges
    from pytest_lmms.model_args import parse_model_args
    from pytest_lmms.plugin.judges import parse_judges, start_judge
    from pytest_lmms.scoring.rubric import load_rubric

    rubric = load_rubric(_rubric_path(parsed.rubric))
    examples = _read(parsed.examples, rubric)
    arguments = parse_model_args(parsed.judge_args, where="--judge-args")
    judges = Judges([start_judge(s) for s in parse_judges(parsed.judge, arguments, os.environ, where="--judge")])
    try:
        said = asyncio.run(_ask(judges, rubric, examples))
    finally:
        judges.close()
    found = agreement(rubric, [e["label"] for e in examples], said)
    if parsed.json:
        print_json(found)
    else:
        _print(found, rubric.name, parsed.judge)
    least = min((p["agree"] for p in found["parts"].values()), default=0.0)
    return DIFFERS if found["failed"] == len(examples) or (parsed.least is not None and least < parsed.least) else OK


def _rubric_path(text: str) -> Path:
    from pytest_lmms import catalog
    from pytest_lmms.scoring.rubric import FILE

    path = Path(text) if text.endswith((".yaml", ".yml")) else catalog.folder("benchmarks") / text / FILE
    if not path.is_file():
        known = sorted(p.parent.name for p in catalog.folder("benchmarks").glob(f"*/{FILE}"))
        raise UsageError(explain("no rubric there", where=f"--rubric {text}", expected="one of " + ", ".join(known)))
    return path


def _read(path: Path, rubric: Rubric) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(explain(f"cannot be read: {e}", where=str(path))) from e
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise UsageError(explain(f"no JSON: {e}", where=where, expected=FILE_HELP)) from e
        label = row.get("label") if isinstance(row, dict) else None
        if not isinstance(label, dict) or not label.keys() <= rubric.verdict.keys() or "response" not in row:
            expected = f"document, response and label with some of {', '.join(rubric.verdict)}"
            raise UsageError(explain("this is no labelled example", where=where, expected=expected))
        wrong = [w for name, value in label.items() if (w := _wrong_label(rubric, name, value))]
        if not isinstance(row.get("document", {}), dict):
            wrong.append("document is no mapping of columns")
        if wrong:
            raise UsageError(explain("; ".join(wrong), where=where, expected=json.dumps(dict(rubric.verdict))))
        found.append(row)
    if not found:
        raise UsageError(explain("no examples", where=str(path), expected=FILE_HELP))
    return found


def _wrong_label(rubric: Rubric, name: str, value: Any) -> str | None:
    """What is wrong with a label; people's mean of whole numbers may be a fraction."""
    whole = round(value) if isinstance(value, float) and math.isfinite(value) else value
    return rubric.wrong_part(name, whole if rubric.verdict[name]["type"] == "integer" else value)


async def _ask(
    judges: Judges, rubric: Rubric, examples: Sequence[Mapping[str, Any]]
) -> list[list[dict[str, Any]] | str]:
    """The verdicts on each example, or what went wrong."""

    async def one(number: int, example: Mapping[str, Any]) -> list[dict[str, Any]] | str:
        known = {"response": example["response"], "target": example.get("target"), "input": example.get("input", "")}
        try:
            done = await judges.judge(rubric, example.get("document", {}), known, task="judge check", doc_id=number)
        except LmmsError as e:
            return str(e)
        return done.verdicts

    return list(await asyncio.gather(*(one(i, e) for i, e in enumerate(examples))))


def agreement(
    rubric: Rubric, labels: Sequence[Mapping[str, Any]], said: Sequence[list[dict[str, Any]] | str]
) -> dict[str, Any]:
    """How far verdicts agree with labels.

    Args:
        rubric: Its verdict's parts are compared, those that labels have.
        labels: Of people.
        said: Of judges, for each label: verdicts of each judge and order, or an error.

    Returns:
        `examples`, `failed` (no verdict), `errors`, `order_changes` (share of examples where the order changed a
        judge's verdict; None without a swap), and `parts`: name -> `n`, `agree` (share) with `low` and `high` (95%,
        Wilson), `kappa` (Cohen's, of texts and truth values) or `mean_error` (of numbers), `table`.
    """
    parts: dict[str, Any] = {}
    together = [None if isinstance(s, str) else _upright(rubric, s) for s in said]
    for name, part in rubric.verdict.items():
        pairs = [
            (label[name], verdict[name])
            for label, verdict in zip(labels, together, strict=True)
            if verdict is not None and name in label
        ]
        if pairs:
            parts[name] = _compared(pairs, is_number=part["type"] in ("number", "integer"))
    return {
        "examples": len(labels),
        "failed": sum(v is None for v in together),
        "errors": [s for s in said if isinstance(s, str)][:5],
        "order_changes": _order_changes(rubric, said),
        "parts": parts,
    }


def _upright(rubric: Rubric, verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    try:
        upright = [rubric.turned_back(v["verdict"]) if v["order"] else v["verdict"] for v in verdicts]
        return rubric.together(upright, fractions=rubric.swap is not None)
    except LmmsError:
        return None


def _order_changes(rubric: Rubric, said: Sequence[list[dict[str, Any]] | str]) -> float | None:
    if rubric.swap is None:
        return None
    first, second = rubric.swap.verdict
    changes = []
    for verdicts in said:
        for a in verdicts if isinstance(verdicts, list) else []:
            for b in verdicts if isinstance(verdicts, list) else []:
                if a["judge"] == b["judge"] and a["order"] == 0 and b["order"] == 1:
                    x, y = a["verdict"], rubric.turned_back(b["verdict"])
                    changes.append((x[first] > x[second]) != (y[first] > y[second]))
    return sum(changes) / len(changes) if changes else None


def _compared(pairs: Sequence[tuple[Any, Any]], *, is_number: bool) -> dict[str, Any]:
    n = len(pairs)
    num_agree = sum(a == b for a, b in pairs)
    low, high = _wilson(num_agree, n)
    found: dict[str, Any] = {"n": n, "agree": num_agree / n, "low": low, "high": high}
    if is_number:
        found["mean_error"] = sum(abs(a - b) for a, b in pairs) / n
        return found
    values = sorted({str(v) for pair in pairs for v in pair})
    table = {a: {b: sum(str(x) == a and str(y) == b for x, y in pairs) for b in values} for a in values}
    by_chance = sum(sum(table[v].values()) * sum(row[v] for row in table.values()) for v in values) / n**2
    found["kappa"] = (found["agree"] - by_chance) / (1 - by_chance) if by_chance < 1 else 1.0
    found["table"] = table
    return found


def _wilson(num_right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval (1927) for a share."""
    share = num_right / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _print(found: Mapping[str, Any], rubric: str, judge: str) -> None:
    print(f"{judge} by {rubric}: {found['examples']} examples, {found['failed']} without a verdict")
    for error in found["errors"]:
        print(f"  {error.splitlines()[0][:200]}")
    for name, part in found["parts"].items():
        more = f"mean error {part['mean_error']:.3f}" if "mean_error" in part else f"kappa {part['kappa']:.3f}"
        print(
            f"  {name}: agrees in {part['agree']:.1%} ({part['low']:.1%} to {part['high']:.1%}, n={part['n']}), {more}"
        )
        for label, row in part.get("table", {}).items():
            print(f"    labelled {label}: " + ", ".join(f"{n} x {said}" for said, n in row.items() if n))
    if found["order_changes"] is not None:
        print(f"  the order of the answers changes the winner in {found['order_changes']:.1%}")
