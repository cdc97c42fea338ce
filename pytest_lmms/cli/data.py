"""`pytest-lmms data`: put a task's documents and media into one file that can be moved."""

from __future__ import annotations

import argparse

from pytest_lmms.cli.shared import OK, add_include_path, index_of, sentence, yamls_of
from pytest_lmms.errors import UsageError, explain


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command and its own."""
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    text = "documents and media of a task as one Lance dataset, read back by dataset_kwargs: {lance: OUTPUT}"
    pack = kinds.add_parser("pack", help=text, description=sentence(text))
    pack.set_defaults(run=_pack)
    pack.add_argument("name", metavar="NAME_OR_PATH", help="a task by name, or its YAML")
    pack.add_argument("--output", required=True, metavar="URI", help="a folder, such as mme.lance, or an address")
    pack.add_argument(
        "--data", choices=("mini", "full"), default="full", help="the dataset (default), or its miniature"
    )
    pack.add_argument("--limit", type=float, metavar="N", help="documents: a number, or a fraction below 1")
    pack.add_argument("--overwrite", action="store_true", help="replace a dataset that is there")
    add_include_path(pack)


def _pack(parsed: argparse.Namespace) -> int:
    from pytest_lmms.tasks.load import load_task
    from pytest_lmms.tasks.packing import write_pack

    paths = yamls_of(parsed.name, index_of(parsed), where="data pack")
    loaded = [load_task(path) for path in paths]
    tasks = [task for found in loaded for task in (found if isinstance(found, list) else [found])]
    if len(tasks) != 1:
        raise UsageError(
            explain(f"{len(tasks)} tasks", where=parsed.name, expected="one: a pack holds the documents of one task")
        )
    mode = "overwrite" if parsed.overwrite else "create"
    written = write_pack(tasks[0], parsed.output, data=parsed.data, limit=parsed.limit, mode=mode)
    print(f"{parsed.output}: {written.num_rows} rows, {written.num_bytes:,} bytes of media")
    print(f"read it back: dataset_kwargs: {{lance: {parsed.output}}}")
    return OK
