"""`pytest-lmms models`: every model, and its other names."""

from __future__ import annotations

import argparse

from pytest_lmms.cli.shared import OK, add_json, print_json, print_table


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    add_json(parser)
    parser.set_defaults(run=_models)


def _models(parsed: argparse.Namespace) -> int:
    from pytest_lmms.registry import MODELS

    found = {name: MODELS.aliases(name) for name in MODELS.names()}
    if parsed.json:
        print_json([{"name": name, "aliases": aliases} for name, aliases in found.items()])
    else:
        print_table({name: f"also {', '.join(aliases)}" if aliases else "" for name, aliases in found.items()})
    return OK
