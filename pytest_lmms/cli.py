"""`pytest-lmms`: what there is, what a task asks, and how many documents a comparison needs.

Evaluates nothing: that is pytest's business. Exit codes: 0; 1 something differs, or a file could not be read and was
left out; 2 a wrong argument, or a task that cannot be loaded or rendered.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmms import catalog
from pytest_lmms.errors import LmmsError, TaskError, UsageError, explain

if TYPE_CHECKING:
    from pytest_lmms.tasks.index import TaskIndex
    from pytest_lmms.tasks.render import Task

OK, DIFFERS, WRONG = 0, 1, 2
_LISTS = {
    "list": "every task, and its YAML",
    "groups": "every group, and its members",
    "tags": "every tag, and the tasks that have it",
    "subtasks": "every group, and all tasks that it reaches",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Of the command line, without the program's name; None takes the process's own.

    Returns:
        The exit code; see the top of this module.
    """
    try:
        parsed = _parser().parse_args(arguments)
    except SystemExit as e:  # argparse has said why
        return int(e.code or 0)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except LmmsError as e:
        print(f"pytest-lmms: {e}", file=sys.stderr)
        return WRONG
    except BrokenPipeError:  # the reader, `head` for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return code


# --- what there is ------------------------------------------------------------------------------------------------


def _version(_: argparse.Namespace) -> int:
    try:
        print(version("pytest-lmms"))
    except PackageNotFoundError as e:
        raise UsageError(explain("pytest-lmms is not installed: no version", remedy="run `pip install .`")) from e
    return OK


def _models(parsed: argparse.Namespace) -> int:
    from pytest_lmms.registry import MODELS

    found = {name: MODELS.aliases(name) for name in MODELS.names()}
    if parsed.json:
        _print_json([{"name": name, "aliases": aliases} for name, aliases in found.items()])
    else:
        _print_table({name: f"also {', '.join(aliases)}" if aliases else "" for name, aliases in found.items()})
    return OK


def _tasks(parsed: argparse.Namespace) -> int:
    index = _index(parsed)
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
        _print_json(found)
    else:
        _print_table({k: v if isinstance(v, str) else ", ".join(v) for k, v in found.items()})
    for line in trouble:
        print(line, file=sys.stderr)
    return DIFFERS if trouble else OK


def _index(parsed: argparse.Namespace) -> TaskIndex:
    from pytest_lmms.tasks.index import index_tasks

    roots = [catalog.folder("benchmarks")]
    for folder in parsed.include_path:
        if not folder.is_dir():
            raise UsageError(
                explain("no such folder", where=f"--include-path {folder}", expected="a folder with task YAMLs")
            )
        roots.append(folder)
    return index_tasks(roots)


def _print_json(value: Any) -> None:
    print(dumps(value, indent=2, ensure_ascii=False))


def _print_table(rows: dict[str, str]) -> None:
    width = max(map(len, rows), default=0)
    for name, text in rows.items():
        print(f"{name:{width}}  {text}".rstrip())


# --- what a task asks ---------------------------------------------------------------------------------------------


def _inputs(parsed: argparse.Namespace) -> int:
    from pytest_lmms.tasks.inputs import difference, from_text, task_inputs, to_text

    names = _model_names(parsed.model)
    index = _index(parsed)
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

    index = _index(parsed)
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


# --- how many documents a comparison needs ------------------------------------------------------------------------


def _power(parsed: argparse.Namespace) -> int:
    from pytest_lmms import stats

    shared = {"alpha": parsed.alpha, "correlation": parsed.correlation, "std_a": parsed.std_a, "std_b": parsed.std_b}
    count = parsed.num_documents
    try:
        found: dict[str, Any] = {"effect": parsed.effect, "power": parsed.power, **shared}
        found["documents_needed"] = stats.sample_size(parsed.effect, power=parsed.power, **shared)
        if count is not None:
            found["num_documents"] = count
            found["power_now"] = stats.power(count, parsed.effect, **shared)
            found["minimum_detectable_effect"] = stats.minimum_detectable_effect(count, power=parsed.power, **shared)
    except ValueError as e:
        raise UsageError(explain(str(e), where="power")) from e
    if parsed.json:
        _print_json(found)
        return OK
    print(
        f"{found['documents_needed']} documents show a difference of {parsed.effect:g} between two models"
        f" with power {parsed.power:g} at level {parsed.alpha:g}"
    )
    if count is not None:
        print(f"{count} documents show a difference of {parsed.effect:g} with power {found['power_now']:.3f}")
        print(
            f"{count} documents show differences from {found['minimum_detectable_effect']:.4f} with power"
            f" {parsed.power:g}"
        )
    return OK


# --- the command line ---------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-lmms", description="What there is to evaluate. Evaluating is `pytest --lmms-model NAME`."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    tasks = commands.add_parser("tasks", help="tasks, groups and tags; what a task asks")
    kinds = tasks.add_subparsers(required=True, metavar="WHAT")
    for what, text in _LISTS.items():
        command = _command(kinds, what, text, _tasks)
        command.set_defaults(what=what)
        _add_include_path(command)
    _add_inputs(
        _command(kinds, "inputs", "rendered messages, media digests and generation settings", _inputs, json=False)
    )
    check = _command(kinds, "check", "what is wrong with a task, tried on its miniature", _check, json=False)
    check.add_argument("names", nargs="+", metavar="NAME_OR_PATH", help="a task, group, tag or pattern, or a YAML")
    _add_include_path(check)
    _command(commands, "models", "every model, and its other names", _models)
    _add_power(_command(commands, "power", "how many documents a comparison of two models needs", _power))
    _command(commands, "version", "the installed version", _version, json=False)
    return parser


def _command(
    commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], int], *, json: bool = True
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    command.set_defaults(run=run)
    if json:
        command.add_argument("--json", action="store_true", help="print JSON")
    return command


def _add_include_path(command: argparse.ArgumentParser) -> None:
    text = "a folder with tasks of your own; may be given several times"
    command.add_argument("--include-path", type=Path, metavar="DIR", action="append", default=[], help=text)


def _add_inputs(command: argparse.ArgumentParser) -> None:
    text = "a task, group, tag or pattern by name, or a YAML"
    command.add_argument("names", nargs="+", metavar="NAME_OR_PATH", help=text)
    _add_include_path(command)
    command.add_argument("--data", choices=("mini", "full"), default="mini", help="miniatures (default), or datasets")
    text = "documents of each task: a number, a fraction below 1, or -1 for all"
    command.add_argument("--limit", type=_limit, metavar="N", help=text)
    command.add_argument("--model", metavar="NAME", help="the model whose variants of prompts and settings to take")
    output = command.add_mutually_exclusive_group()
    text = "compare with what --write wrote; exit code 1 when they differ"
    output.add_argument("--diff", type=Path, metavar="FILE", help=text)
    output.add_argument("--write", type=Path, metavar="FILE", help="write the text to a file")


def _add_power(command: argparse.ArgumentParser) -> None:
    for flag, default, text in (
        ("--effect", 0.03, "difference of the two means that must not be missed"),
        ("--alpha", 0.05, "probability of seeing a difference where there is none, two-sided"),
        ("--power", 0.8, "probability of seeing the difference when it is there"),
        ("--correlation", 0.5, "of the two models' scores over documents, -1 to 1"),
    ):
        command.add_argument(flag, type=float, default=default, metavar="X", help=f"{text} (default {default})")
    text = "documents that both models answer: tells the power they give, and the smallest difference they show"
    command.add_argument("--num-documents", type=int, metavar="N", help=text)
    for model, letter in (("first", "a"), ("second", "b")):
        text = f"standard deviation of the {model} model's scores (default: the other's, else 0.5)"
        command.add_argument(f"--std-{letter}", type=float, metavar="X", help=text)
