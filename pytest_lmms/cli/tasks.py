"""`pytest-lmms tasks`: tasks, groups and tags; what a task asks; what is wrong with one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmms.cli.shared import DIFFERS, OK, add_include_path, add_json, index_of, print_json, print_table
from pytest_lmms.errors import TaskError, UsageError, explain

if TYPE_CHECKING:
    from pytest_lmms.tasks.index import TaskIndex
    from pytest_lmms.tasks.render import Task

_LISTS = {
    "list": "every task, and its YAML",
    "groups": "every group, and its members",
    "tags": "every tag, and the tasks that have it",
    "subtasks": "every group, and all tasks that it reaches",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command and its own."""
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    for what, text in _LISTS.items():
        command = _command(kinds, what, text, _tasks)
        command.set_defaults(what=what)
        add_include_path(command)
        add_json(command)
    _add_inputs(_command(kinds, "inputs", "rendered messages, media digests and generation settings", _inputs))
    check = _command(kinds, "check", "what is wrong with a task, tried on its miniature", _check)
    check.add_argument("names", nargs="+", metavar="NAME_OR_PATH", help="a task, group, tag or pattern, or a YAML")
    add_include_path(check)


def _command(kinds: Any, name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = kinds.add_parser(name, help=text, description=text.capitalize() + ".")
    command.set_defaults(run=run)
    return command


def _add_inputs(command: argparse.ArgumentParser) -> None:
    text = "a task, group, tag or pattern by name, or a YAML"
    command.add_argument("names", nargs="+", metavar="NAME_OR_PATH", help=text)
    add_include_path(command)
    command.add_argument("--data", choices=("mini", "full"), default="mini", help="miniatures (default), or datasets")
    text = "documents of each task: a number, a fraction below 1, or -1 for all"
    command.add_argument("--limit", type=_limit, metavar="N", help=text)
    command.add_argument("--model", metavar="NAME", help="the model whose variants of prompts and settings to take")
    output = command.add_mutually_exclusive_group()
    text = "compare with what --write wrote; exit code 1 when they differ"
    output.add_argument("--diff", type=Path, metavar="FILE", help=text)
    output.add_argument("--write", type=Path, metavar="FILE", help="write the text to a file")


# --- what there is ------------------------------------------------------------------------------------------------


def _tasks(parsed: argparse.Namespace) -> int:
    index = index_of(parsed)
    trouble = [f"broken: {path}: {error}" for path, error in index.broken.items()]
    trouble += [f"defined again: {n}: {p}" for n, paths in sorted(index.twice.items()) for p in paths]
    if parsed.what == "list":
        found: dict[str, Any] = {name: str(path) for name, path in sorted(index.tasks.items())}
    elif parsed.what == "groups":
        found = {name: group.names() for name, group in sorted(index.groups.items())}
    elif parsed.what == "tags":
        found = dict(sorted(index.tags.items()))
    else:
        found = {}
        for name, group in sorted(index.groups.items()):
            try:
                found[name] = list(dict.fromkeys(index.tasks_of_group(group)))
            except TaskError as e:
                trouble.append(f"broken: {e}")
    if parsed.json:
        print_json(found)
    else:
        print_table({k: v if isinstance(v, str) else ", ".join(v) for k, v in found.items()})
    for line in trouble:
        print(line, file=sys.stderr)
    return DIFFERS if trouble else OK


# --- what a task asks ---------------------------------------------------------------------------------------------


def _inputs(parsed: argparse.Namespace) -> int:
    from pytest_lmms.tasks.inputs import difference, from_text, task_inputs, to_text

    names = _model_names(parsed.model)
    index = index_of(parsed)
    before = from_text(_read(parsed.diff), str(parsed.diff)) if parsed.diff else None
    found = {
        task.name: task_inputs(task.bind(model_names=names), data=parsed.data, limit=parsed.limit)
        for name in parsed.names
        for task in _load(name, index)
    }
    if parsed.write:
        _write(parsed.write, to_text(found))
        return OK
    if before is None:
        print(to_text(found), end="")
        return OK
    text = difference(before, found, names=(str(parsed.diff), "now"))
    if text:
        print(text)
    return DIFFERS if text else OK


def _check(parsed: argparse.Namespace) -> int:
    from pytest_lmms.lint import check_task

    index = index_of(parsed)
    num_problems = 0
    for name in parsed.names:
        for path in [Path(name)] if name.endswith((".yaml", ".yml")) else index.expand([name], where="tasks check"):
            problems = check_task(path)
            num_problems += len(problems)
            print("\n".join(problems) if problems else f"{path}: fine")
    return DIFFERS if num_problems else OK


def _model_names(name: str | None) -> tuple[str, ...]:
    from pytest_lmms.registry import MODELS

    if name is None:
        return ()
    canonical = MODELS.canonical(name)
    return (canonical, *MODELS.aliases(canonical))


def _load(name: str, index: TaskIndex) -> list[Task]:
    """Load the tasks that a name, a pattern or a YAML stands for."""
    from pytest_lmms.tasks.load import load_task

    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise UsageError(explain("no such file", where=name, expected="the YAML of a task or a group"))
        paths = [path]
    else:
        paths = index.expand([name], where="tasks inputs")
    loaded = [load_task(p) for p in paths]
    return [task for entry in loaded for task in (entry if isinstance(entry, list) else [entry])]


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
