"""`pytest-lmms tasks inputs`: what a task asks, and what a change of it would ask instead."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_lmms.cli.revision import files_at
from pytest_lmms.cli.shared import DIFFERS, OK, add_include_path, index_of, yamls_of
from pytest_lmms.errors import UsageError, explain

if TYPE_CHECKING:
    from pytest_lmms.tasks.inputs import Inputs
    from pytest_lmms.tasks.render import Task


def add_inputs(command: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    text = "a task, group, tag or pattern by name; a YAML or a folder"
    command.add_argument("names", nargs="+", metavar="NAME_OR_PATH", help=text)
    add_include_path(command)
    command.add_argument("--data", choices=("mini", "full"), default="mini", help="miniatures (default), or datasets")
    text = "documents of each task: a number, a fraction below 1, or -1 for all"
    command.add_argument("--limit", type=_limit, metavar="N", help=text)
    command.add_argument("--model", metavar="NAME", help="the model whose variants of prompts and settings to take")
    output = command.add_mutually_exclusive_group()
    text = "compare with a file that --write wrote, or with a git revision; exit code 1 when they differ"
    output.add_argument("--diff", metavar="FILE|REVISION", help=text)
    output.add_argument("--write", type=Path, metavar="FILE", help="write the text to a file")


def show_inputs(parsed: argparse.Namespace) -> int:
    """Print, write or compare what the tasks ask."""
    from pytest_lmms.tasks.inputs import difference, from_text, task_inputs, to_text
    from pytest_lmms.tasks.load import load_task

    names = _model_names(parsed.model)
    index = index_of(parsed)

    def inputs_of(tasks: list[Task]) -> Inputs:
        return {t.name: task_inputs(t.bind(model_names=names), data=parsed.data, limit=parsed.limit) for t in tasks}

    is_file = parsed.diff is not None and (Path(parsed.diff).exists() or parsed.diff.endswith((".yaml", ".yml")))
    before = from_text(_read(Path(parsed.diff)), parsed.diff) if is_file else None
    loaded = [load_task(path) for name in parsed.names for path in yamls_of(name, index, where="tasks inputs")]
    tasks = [task for entry in loaded for task in (entry if isinstance(entry, list) else [entry])]
    if parsed.diff is not None and before is None:
        before = _inputs_at(parsed.diff, tasks, inputs_of)
    found = inputs_of(tasks)
    if parsed.write:
        _write(parsed.write, to_text(found))
        return OK
    if before is None:
        print(to_text(found), end="")
        return OK
    text = difference(before, found, names=(parsed.diff, "now"))
    if text:
        print(text)
    return DIFFERS if text else OK


def _inputs_at(revision: str, tasks: list[Task], inputs_of: Callable[[list[Task]], Inputs]) -> Inputs:
    """What the tasks asked when their YAMLs, code and miniatures were those of a revision."""
    from pytest_lmms.tasks.load import load_from

    with files_at(revision) as then:
        old = [(path, task.name) for task in tasks if (path := then(task.path)) is not None]
        return inputs_of([load_from(path, name) for path, name in old])


def _model_names(name: str | None) -> tuple[str, ...]:
    from pytest_lmms.registry import MODELS

    if name is None:
        return ()
    canonical = MODELS.canonical(name)
    return (canonical, *MODELS.aliases(canonical))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(explain(f"cannot read this file: {e}", where=f"--diff {path}")) from e


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise UsageError(explain(f"cannot write this file: {e}", where=f"--write {path}")) from e


def _limit(text: str) -> float:
    value = float(text)
    if not (value == -1 or 0 < value < 1 or (value >= 1 and value.is_integer())):
        raise argparse.ArgumentTypeError(f"{text} is neither a count, a fraction below 1, nor -1 for all")
    return value
