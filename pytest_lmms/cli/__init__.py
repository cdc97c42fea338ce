"""`pytest-lmms`: one file a command, imported when the command is named.

A new command is one line in `COMMANDS` and a module `pytest_lmms/cli/<name>.py` with one function:

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", type=Path)
        parser.set_defaults(run=_show)      # _show(parsed) -> exit code

`shared.py` has the exit codes, printing and the index of tasks. An `LmmsError` becomes one message on standard error
and exit code 4. A module that a command does not need (torch, datasets, pytest) is imported inside its functions.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from pytest_lmms.cli.shared import INTERRUPTED, OK, WRONG, sentence
from pytest_lmms.errors import LmmsError, UsageError, did_you_mean, explain
from pytest_lmms.printable import PrintableStream, printable

COMMANDS = {
    "eval": "evaluate: pytest, and the flags of lmms-eval",
    "rerun": "evaluate again, as a results.json says",
    "config": "a run's settings as a config file",
    "tasks": "tasks, groups and tags; what a task asks",
    "data": "documents and media of a task as one Lance dataset",
    "models": "every model, and its other names; what is wrong with an adapter",
    "compare": "runs side by side, paired document by document",
    "gate": "whether a finished run meets what is demanded of it",
    "merge": "the runs of all shards of --lmms-shard, as one run",
    "judge": "how far a judge agrees with people's labels",
    "export": "a finished run in the schema of Every Eval Ever",
    "power": "how many documents a comparison of two models needs",
    "view": "runs in a browser: scores, documents, comparisons",
    "ui": "a form to start runs, in a browser; `serve` with its page open",
    "serve": "evaluation over HTTP: jobs in a queue",
    "cache": "what is kept between runs, and how much",
    "completion": "the script that lets a shell complete commands and names",
    "version": "the installed version",
}
"""Name of a command and of its module, and its line in the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Of the command line, without the program's name; None takes the process's own.

    Returns:
        The exit code, as pytest means them: 0; 1 something differs, a gate failed, or a file could not be read and was
        left out; 2 interrupted, or nobody there to be asked; 4 a wrong argument, or a file, run or task that cannot be
        used.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and _is_option(words[0]):
        words.insert(0, "eval")  # `python -m pytest_lmms --model ...`
    if words == ["tasks"] or (words[:1] == ["tasks"] and _is_option(words[1])):
        words.insert(1, "list")
    try:
        with contextlib.redirect_stdout(PrintableStream(sys.stdout)):  # names and texts of strangers' runs and rows
            code = _run(words)
        sys.stdout.flush()
    except LmmsError as e:
        print(f"pytest-lmms: {printable(str(e))}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("pytest-lmms: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, `head` for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return code


def _is_option(word: str) -> bool:
    return word.startswith("-") and word not in ("-h", "--help")


def _run(words: Sequence[str]) -> int:
    if words[:1] == ["eval"]:
        from pytest_lmms.cli.eval import run_words

        return run_words(words[1:])
    if words and words[0] not in COMMANDS and words[0] not in ("-h", "--help"):
        close = did_you_mean(words[0], COMMANDS)
        raise UsageError(
            explain(f"no command {words[0]!r}", expected=f"one of {', '.join(COMMANDS)}", suggestion=close)
        )
    try:
        parsed, unknown = make_parser(words).parse_known_args(words)
    except SystemExit as e:  # argparse has said why
        return WRONG if e.code else OK
    if unknown:
        raise _unknown_argument(words, unknown[0])
    code: int = parsed.run(parsed)
    return code


def _unknown_argument(words: Sequence[str], unknown: str) -> UsageError:
    from pytest_lmms.cli.completion import words_of_parser

    known = words_of_parser(words)
    return UsageError(
        explain(
            f"no argument {unknown!r}",
            where=words[0],
            suggestion=did_you_mean(unknown.partition("=")[0], known),
            remedy=f"pytest-lmms {words[0]} --help tells what there is",
        )
    )


def make_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of all commands; only the command that is named has its arguments, and its module imported."""
    parser = argparse.ArgumentParser(
        prog="pytest-lmms", description="What there is to evaluate, and evaluating it: `eval` is pytest."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=sentence(text))
        if words and words[0] == name:
            import_module(f"pytest_lmms.cli.{name}").add(command)
    return parser
