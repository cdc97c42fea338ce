"""`pytest-lmms completion bash|zsh`: the script that lets a shell complete commands, options and names.

    eval "$(pytest-lmms completion bash)"      # in ~/.bashrc

The script asks this command, so that it never grows old. pytest's own options, `--lmms-...` included, are completed by
argcomplete, which pytest supports.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from pytest_lmms.cli.shared import OK

BASH = """\
_pytest_lmms() {
    local IFS=$'\\n'
    COMPREPLY=($(compgen -W "$(pytest-lmms completion words "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)" \\
        -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _pytest_lmms pytest-lmms"""
ZSH = "autoload -U +X bashcompinit && bashcompinit\n" + BASH
TAKE_MODEL = ("--model", "--lmms-model")
TAKE_TASKS = ("--tasks", "--lmms-tasks")
TASK_COMMANDS = (["tasks", "inputs"], ["tasks", "check"])


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser.add_argument("shell", choices=("bash", "zsh", "words"), help="words: what may follow the words given")
    parser.add_argument("before", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=_completion)


def _completion(parsed: argparse.Namespace) -> int:
    texts = {"bash": lambda: BASH, "zsh": lambda: ZSH, "words": lambda: "\n".join(candidates(parsed.before))}
    print(texts[parsed.shell]())
    return OK


def candidates(before: Sequence[str]) -> list[str]:
    """What may follow.

    Args:
        before: The words of the command line so far, without the program's name.

    Returns:
        Commands, options, or names of models or tasks; nothing where files are meant.
    """
    last = before[-1] if before else ""
    if last in TAKE_MODEL:
        from pytest_lmms.registry import MODELS

        return MODELS.names()
    if last in TAKE_TASKS:
        return _task_names()
    if before[:1] == ["eval"]:
        return _flags_of_eval()
    found = words_of_parser(before)
    return [*found, *_task_names()] if list(before[:2]) in TASK_COMMANDS else found


def _task_names() -> list[str]:
    from pytest_lmms import catalog
    from pytest_lmms.tasks.index import index_tasks

    index = index_tasks([catalog.folder("benchmarks")])
    return sorted({*index.tasks, *index.groups, *index.tags})


def _flags_of_eval() -> list[str]:
    from pytest_lmms.config import BY_NAME, OPTIONS
    from pytest_lmms.spellings import SPELLINGS

    usable = [s for s in SPELLINGS if s.ours in BY_NAME or s.model_argument]
    return [f"--{s.name}" for s in usable] + [o.option for o in OPTIONS]


def words_of_parser(before: Sequence[str]) -> list[str]:
    """Subcommands and options of the parser that the words lead to."""
    from pytest_lmms.cli import make_parser

    parser: Any = make_parser(before)
    for word in before:
        inner = next((a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})
        parser = inner.get(word, parser)
    words: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words += action.choices
        else:
            words += [o for o in action.option_strings if o.startswith("--")]
    return words
