"""Compare messages and scores through us with what lmms-eval's own classes make of the same rows and responses.

    PYTHONPATH=. .compat-venv/bin/python tools/compat/differential.py [--seed N] [--count 40] [--only NAME ...]

Tasks are drawn by a seed from the installed lmms-eval's folder, a few from each stratum (output type, chat, filters,
group, video, audio). Rows are made (`made_rows`), written as Parquet, and read by both sides with their own code: its
`ConfigurableMessagesTask`, our `load_task`, `render`, `score` and `aggregate`. A task that cannot run on made-up rows
(a judge on the network, a table of the real dataset's values) is passed over, counted and named with its reason.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import catalogue

TASK_SECONDS = 150
STRATA = ("multiple_choice", "loglikelihood", "generate_until_multi_round", "generate_until_agentic",
          "generate_visual_cot", "filters", "audio", "video", "chat", "group", "simple")  # fmt: skip
SHARES = {"multiple_choice": 5, "loglikelihood": 1, "generate_until_multi_round": 1, "generate_until_agentic": 1,
          "generate_visual_cot": 2, "filters": 6, "audio": 4, "video": 5, "chat": 5, "group": 4,
          "simple": 6}  # fmt: skip
"""How many of 40 tasks come from each stratum; where it has fewer that run, `simple` gets the rest."""


def stratum_of(values: Mapping[str, Any], name: str, grouped: frozenset[str]) -> str:
    """The first stratum that a task belongs to."""
    output_type = str(values.get("output_type", "generate_until"))
    if output_type in STRATA:
        return output_type
    if values.get("filter_list"):
        return "filters"
    text = json.dumps({k: str(v) for k, v in values.items()}).lower()
    if "audio" in text:
        return "audio"
    if "video" in text:
        return "video"
    if "doc_to_messages" in values:
        return "chat"
    return "group" if name in grouped else "simple"


def grouped_names(root: Path) -> frozenset[str]:
    """Names that some group YAML lists."""
    names: set[str] = set()

    def collect(members: Any) -> None:
        for member in members if isinstance(members, list) else [members]:
            if isinstance(member, str):
                names.add(member)
            elif isinstance(member, Mapping):
                collect(member.get("task", []))

    for path in root.rglob("*.yaml"):
        values = catalogue.merged(path)
        if catalogue.kind_of(values) == "group":
            collect(values["task"])
    return frozenset(names)


def candidates(root: Path) -> dict[str, list[Path]]:
    """Task YAMLs by stratum."""
    grouped = grouped_names(root)
    found: dict[str, list[Path]] = {stratum: [] for stratum in STRATA}
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".yaml", ".yml")):
        values = catalogue.merged(path)
        if catalogue.kind_of(values) == "task" and values.get("dataset_path"):
            found[stratum_of(values, str(values["task"]), grouped)].append(path)
    return found


def interleaved(paths: Sequence[Path], root: Path, rng: random.Random) -> list[Path]:
    """Shuffle, then take from each benchmark's folder once before any gives a second."""
    by_folder: dict[str, list[Path]] = {}
    for path in rng.sample(list(paths), len(paths)):
        by_folder.setdefault(path.relative_to(root).parts[0], []).append(path)
    rounds = max(map(len, by_folder.values()), default=0)
    return [members[i] for i in range(rounds) for members in by_folder.values() if i < len(members)]


def _child(path: str, seed: int, out: str) -> None:
    import compared

    with catalogue.silenced():
        try:
            result = compared.compare(Path(path), seed, Path(out).parent)
        except BaseException as e:  # noqa: BLE001  (a task may raise whatever it wants, SystemExit included)
            result = {"skipped": f"{type(e).__name__}: {str(e)[:200]}"}
    Path(out).write_text(json.dumps(result, default=repr), encoding="utf-8")


def run_one(path: Path, seed: int, root: Path) -> dict[str, Any]:
    """Compare one task in a child of its own."""
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "result.json"
        process = fork.Process(target=_child, args=(str(path), seed, str(out)))
        process.start()
        process.join(TASK_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        result = json.loads(out.read_text("utf-8")) if out.exists() else {"skipped": "ended or hung"}
    result["path"] = str(path.relative_to(root))
    return result  # type: ignore[no-any-return]


def draw(root: Path, seed: int, count: int, *, verbose: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Compare `count` tasks.

    Returns:
        Results of the tasks that ran, and of those that were passed over.
    """
    rng = random.Random(seed)
    pools = {s: interleaved(paths, root, rng) for s, paths in candidates(root).items()}
    compared: list[dict[str, Any]] = []
    passed: list[dict[str, Any]] = []
    wanted = {s: max(1, round(share * count / 40)) for s, share in SHARES.items()}
    for stratum in STRATA:
        quota = count - len(compared) if stratum == STRATA[-1] else wanted[stratum]
        while quota > 0 and pools[stratum] and len(compared) < count:
            result = run_one(pools[stratum].pop(0), seed, root) | {"stratum": stratum}
            if "skipped" in result:
                passed.append(result)
            else:
                compared.append(result)
                quota -= 1
            if verbose:
                print(json.dumps(result)[:600], file=sys.stderr, flush=True)
    return compared, passed


def table(compared: Sequence[Mapping[str, Any]], passed: Sequence[Mapping[str, Any]], seed: int) -> str:
    """The comparison in Markdown."""
    num_equal = sum(r["messages"] == "equal" and r["scores"] == "equal" for r in compared)
    bugs = [r for r in compared if r["bugs"]]
    num_known = sum(bool(r["differences"]) for r in compared)
    summary = (
        f"Seed {seed}: {len(compared)} tasks compared, {num_equal} equal in messages and scores ({num_known} of all "
        f"with a known difference), {len(bugs)} with unexplained differences."
    )
    lines = [
        summary,
        "",
        "| task | stratum | documents | messages | scores | scores compared | differences |",
        "| --- | --- | ---: | --- | --- | ---: | --- |",
    ]
    for r in compared:
        notes = "; ".join([*r["differences"], *(f"**{b}**" for b in r["bugs"])]).replace("|", "/").replace("\n", " ")
        cells = (r["path"], r["stratum"], r["documents"], r["messages"], r["scores"], r["num_scores"], notes)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    reasons = Counter(catalogue.reason_of(str(r["skipped"]))[:110].replace("|", "/") for r in passed)
    lines += ["", f"Passed over, as they cannot run on made-up rows: {len(passed)}.", ""]
    if reasons:
        lines += ["| tasks | reason |", "| ---: | --- |"]
        lines += [f"| {n} | {reason} |" for reason, n in reasons.most_common()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table; exit with 1 when a difference is unexplained."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--tasks", type=Path, help="a tasks folder; default: that of the installed lmms-eval")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--only", nargs="+", default=[], metavar="YAML", help="these instead, below the tasks folder")
    parser.add_argument("--markdown", type=Path, help="write the table here as well")
    parser.add_argument("--verbose", action="store_true", help="one line for each task as it is done")
    options = parser.parse_args()
    catalogue.preload()
    os.environ["HF_DATASETS_CACHE"] = os.path.join(os.environ["HF_HOME"], "datasets")
    root = (options.tasks or catalogue.tasks_folder()).resolve()
    if options.only:
        results = [run_one(root / name, options.seed, root) | {"stratum": "named"} for name in options.only]
        compared = [r for r in results if "skipped" not in r]
        passed = [r for r in results if "skipped" in r]
    else:
        compared, passed = draw(root, options.seed, options.count, verbose=options.verbose)
    text = table(compared, passed, options.seed)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    sys.exit(any(r["bugs"] for r in compared))


if __name__ == "__main__":
    main()
