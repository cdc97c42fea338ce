"""`pytest-lmms models`: every model, and its other names; what is wrong with an adapter."""

from __future__ import annotations

import argparse

from pytest_lmms.cli.shared import DIFFERS, OK, add_json, print_json, print_table, sentence


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command and its own."""
    add_json(parser)
    parser.add_argument("--aliases", action="store_true", help="a line for each other name, and what it stands for")
    parser.set_defaults(run=_models)
    kinds = parser.add_subparsers(metavar="WHAT")
    text = "ask an adapter a dozen small requests, and say what is wrong with it"
    check = kinds.add_parser("check", help=text, description=sentence(text))
    check.add_argument("name", help="a model's name, or path/to/file.py:Class or package.module:Class")
    check.add_argument("--model-args", default="", metavar="ARGS", help="arguments of the model: key=value,key=value")
    check.set_defaults(run=_check)


def _models(parsed: argparse.Namespace) -> int:
    from pytest_lmms.registry import MODELS

    found = {name: MODELS.aliases(name) for name in MODELS.names()}
    if parsed.json:
        print_json([{"name": name, "aliases": aliases} for name, aliases in found.items()])
    elif parsed.aliases:
        print_table({alias: name for name, aliases in found.items() for alias in aliases})
    else:
        print_table({name: f"also {', '.join(aliases)}" if aliases else "" for name, aliases in found.items()})
    return OK


def _check(parsed: argparse.Namespace) -> int:
    from pytest_lmms.model_args import check_model_args, parse_model_args
    from pytest_lmms.modelcheck import check_model
    from pytest_lmms.registry import MODELS, Registry

    name = parsed.name
    models = MODELS
    if ":" in name:
        models = Registry("model", listing="pytest-lmms models")
        models.register(name, name)
    adapter = models.load(name)
    arguments = parse_model_args(parsed.model_args, where="--model-args")
    check_model_args(adapter, arguments, model_name=name, where="--model-args")
    findings = check_model(adapter, **arguments)
    print(f"{name} answers: {', '.join(findings.taken) or 'nothing'}")
    for kind, reason in findings.refused.items():
        print(f"{name} takes no {kind}: {reason}")
    print("\n".join(findings.problems) if findings.problems else f"{name}: fine")
    return DIFFERS if findings.problems else OK
