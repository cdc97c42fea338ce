"""`pytest-lmms eval`: pytest, with lmms-eval's flags understood; without arguments it asks for what it needs.

Everything that is no flag of lmms-eval goes to pytest as it is, `-n`, `-x`, `-c` and `-w` included: they mean what
they mean to pytest.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence

from pytest_lmms.cli.shared import INTERRUPTED, OK, start_pytest
from pytest_lmms.errors import LmmsError, UsageError, explain

HELP = """\
usage: pytest-lmms eval [lmms-eval's flags] [pytest's arguments]
       pytest-lmms eval                       asks for model, tasks, data and limit, in a terminal

Evaluates. --model, --model_args, --tasks, --limit and the other long flags of lmms-eval are translated; everything
else goes to pytest. The same without a command: python -m pytest_lmms --model dummy --tasks mme.

examples:
  pytest-lmms eval --model qwen2_5_vl --tasks mme,mmmu_val --batch_size 8
  pytest-lmms eval --lmms-config configs/example_local.yaml -n 2
  pytest-lmms eval benchmarks/mme --lmms-model dummy -k color

All options: pytest --help"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command; `run_words` reads its words, because argparse would take pytest's options for its own."""
    parser.set_defaults(run=lambda _: run_words([]))


def run_words(words: Sequence[str]) -> int:
    """Evaluate.

    Args:
        words: What stands behind `eval`.

    Returns:
        An exit code, where pytest was not started.

    Raises:
        UsageError: A flag of lmms-eval that does not exist here.
    """
    from pytest_lmms.config import BY_NAME
    from pytest_lmms.spellings import translate

    if list(words) in (["-h"], ["--help"]):
        print(HELP)
        return OK
    if not words:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            print(HELP, file=sys.stderr)
            return INTERRUPTED  # there is nobody to ask
        words = ask()
        print(f"\n  {shlex.join(['pytest', *words])}\n")
    found, notices = translate(words, options=frozenset(BY_NAME))
    for notice in notices:
        print(f"pytest-lmms: {notice}", file=sys.stderr)
    return start_pytest(found)


# --- asking -------------------------------------------------------------------------------------------------------


def ask() -> list[str]:
    """Ask in the terminal, until each answer can be used.

    Returns:
        Arguments of pytest.

    Raises:
        UsageError: The terminal was closed.
    """
    try:
        model = _answer("Model (? lists them)", "tiny_vlm", _model)
        words = [f"--lmms-model={model}"]
        arguments = _answer("Its arguments, key=value,key=value (? lists them)", "", _arguments(model))
        words += [f"--lmms-model-args={arguments}"] if arguments else []
        words.append(f"--lmms-tasks={_answer('Tasks, groups or tags (? lists them)', 'mme', _tasks)}")
        words.append(f"--lmms-data={_answer('Data, full or mini (offline miniatures)', 'mini', _option('data'))}")
        limit = _answer("Documents of each task, -1 for all", "8", _option("limit"))
    except EOFError:
        raise UsageError(explain("the terminal was closed before every question was answered")) from None
    return [*words, f"--lmms-limit={limit}"]


def _answer(question: str, default: str, check: Callable[[str], str | None]) -> str:
    """Ask once more after each answer that cannot be used; an empty line takes the default."""
    while True:
        text = input(f"{question} [{default}]: ").strip() or default
        try:
            said = check(text)
        except LmmsError as e:
            said = str(e)
        if said is None:
            return text
        print(said)


def _model(text: str) -> str | None:
    from pytest_lmms.registry import MODELS

    if text == "?":
        return "\n".join(f"  {name}" for name in MODELS.names())
    MODELS.load(text)
    return None


def _tasks(text: str) -> str | None:
    from pytest_lmms import catalog
    from pytest_lmms.tasks.index import index_tasks

    index = index_tasks([catalog.folder("benchmarks")])
    if text == "?":
        return "\n".join(f"  {name}" for name in sorted({*index.tasks, *index.groups, *index.tags}))
    index.expand([t.strip() for t in text.split(",")], where="tasks")
    return None


def _arguments(model: str) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        from inspect import signature

        from pytest_lmms.model_args import check_model_args, parse_model_args
        from pytest_lmms.registry import MODELS

        adapter = MODELS.load(model)
        if text == "?":
            return "\n".join(
                f"  {p.name}" + ("" if p.default is p.empty else f"={p.default}")
                for p in signature(adapter).parameters.values()
            )
        check_model_args(adapter, parse_model_args(text, where="arguments"), model_name=model, where="arguments")
        return None

    return check


def _option(name: str) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        from pytest_lmms.config import BY_NAME

        BY_NAME[name].parse(text, name)
        return None

    return check
