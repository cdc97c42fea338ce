"""`pytest-lmms config export RESULTS`: the config file that repeats a run."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.cli.shared import OK, read_results, sentence
from pytest_lmms.errors import UsageError, explain
from pytest_lmms.results.remote import local_runs


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command and its own."""
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    text = "the YAML that repeats a run; variables as written, secrets as variables"
    export = kinds.add_parser("export", help=text, description=sentence(text))
    export.add_argument("results", metavar="RESULTS", help="a results.json, a run folder, or an address of one")
    export.add_argument("--write", type=Path, metavar="FILE", help="write a file instead of printing")
    export.set_defaults(run=_export)


def _export(parsed: argparse.Namespace) -> int:
    with local_runs([parsed.results], where="config export") as (path,):
        text, warnings = exported(read_results(path))
    for warning in warnings:
        print(f"pytest-lmms: {warning}", file=sys.stderr)
    if parsed.write is None:
        print(text, end="")
        return OK
    try:
        parsed.write.write_text(text, encoding="utf-8")
    except OSError as e:
        raise UsageError(explain(f"cannot write this file: {e.strerror}", where=f"--write {parsed.write}")) from e
    return OK


def exported(results: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A run as the text of a config file, and what to know about it.

    Args:
        results: What results.json holds.
    """
    from pytest_lmms.configfile import settings_of_results, to_yaml

    values, env = settings_of_results(results)
    masked = dict(_masked(results["config"]["resolved_cli_args"]))
    warnings = [
        f"{name} was a secret: it is read from the variable ${{{variable}}}"
        if variable
        else f"{name} holds an address with a password: put it in by hand"
        for name, variable in masked.items()
    ]
    words = selection(results)
    comment = "run with: pytest --lmms-config THIS_FILE" + "".join(f" {shlex.quote(w)}" for w in words)
    return to_yaml(values, env, comment=comment), warnings


def selection(results: Mapping[str, Any]) -> list[str]:
    """Arguments of pytest that chose the documents of a run, beside its settings."""
    chosen = results["config"].get("invocation", {})
    words = list(chosen.get("args", ()))
    for option, name in (("-k", "keyword"), ("-m", "markexpr")):
        if chosen.get(name):
            words += [option, chosen[name]]
    return words


def _masked(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str | None]]:
    """Places of masked secrets, and the variables that they are read from; None for a part of a text."""
    from pytest_lmms.masks import MASK

    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _masked(value, f"{above}{name}.")
        elif value == MASK:
            yield above + name, name.upper()
        elif isinstance(value, str) and MASK in value:
            yield above + name, None
