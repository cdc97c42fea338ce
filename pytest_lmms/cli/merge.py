"""`pytest-lmms merge`: the runs of all shards become one run."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_lmms.cli.shared import DIFFERS, OK, add_include_path, index_of
from pytest_lmms.errors import UsageError, explain
from pytest_lmms.results.remote import exists, is_remote, local_runs, upload

if TYPE_CHECKING:
    from pytest_lmms.config import RunConfig
    from pytest_lmms.results.groups import GroupTree
    from pytest_lmms.tasks.render import Task


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folders of --lmms-shard 1/N to N/N, or their addresses"
    )
    text = "the run folder to make, or its address (default results/<time>_<model>_merged)"
    parser.add_argument("--output", metavar="DIR", help=text)
    add_include_path(parser)
    parser.set_defaults(run=_merge)


def _merge(parsed: argparse.Namespace) -> int:
    url = parsed.output if parsed.output is not None and is_remote(parsed.output) else None
    with local_runs(parsed.runs, where="merge", part="records") as paths:
        if url is None:
            return _merge_local(parsed, paths, Path(parsed.output).expanduser() if parsed.output else None)
        if exists(url, "--output"):
            raise UsageError(explain("exists already", where=f"--output {url}", remedy="choose another --output"))
        above, _, name = url.rstrip("/").rpartition("/")
        with tempfile.TemporaryDirectory(prefix="pytest-lmms-") as folder:
            code = _merge_local(parsed, paths, Path(folder) / name)
            print(f"Copied to: {upload(Path(folder) / name, above)}")
            return code


def _merge_local(parsed: argparse.Namespace, paths: Sequence[Path], output: Path | None) -> int:
    from pytest_lmms.plugin.items import bound
    from pytest_lmms.results.groups import find_groups
    from pytest_lmms.results.merge import merge_runs
    from pytest_lmms.results.store import RunFolder, new_run_path
    from pytest_lmms.results.table import results_table

    index = index_of(parsed)

    def find_task(name: str, path: Path) -> Path:
        if path.is_file():
            return path
        found = index.tasks.get(name)
        if found is None:
            text = explain(f"no file of task {name}", where=str(path), remedy="name its folder with --include-path")
            raise UsageError(text)
        return found

    def groups(paths: Mapping[str, Path], named: Sequence[str]) -> Sequence[GroupTree]:
        return find_groups(index, dict(paths), [n for n in named if n in index.groups])

    def bind(task: Task, settings: RunConfig) -> Task:
        return bound(task, settings)

    if output is None:
        model = RunFolder(paths[0]).info().get("config", {}).get("model") or "model"
        output = new_run_path(Path("results"), f"{model}_merged")
    finished, _ = merge_runs(paths, output, find_task=find_task, bind=bind, find_groups=groups)
    print(*results_table(finished.results), sep="\n")
    if finished.results["incomplete_because"]:
        print(f"Not a complete benchmark: {finished.results['incomplete_because']}.")
    for task, lost in finished.lost.items():
        print(f"{task}: {len(lost)} documents have no record: {', '.join(map(str, lost[:10]))}")
    print(*finished.complaints, f"Run folder: {output}", sep="\n")
    return DIFFERS if finished.lost or finished.complaints else OK
