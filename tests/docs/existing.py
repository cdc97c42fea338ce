"""Whether what a snippet names exists: options, models, tasks, commands, targets, extras, imports, keys."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from functools import cache
from pathlib import Path

import yaml

from pytest_lmms import catalog, cli, spellings
from pytest_lmms.config import OPTIONS
from pytest_lmms.registry import MODELS
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.spec import FIELDS

ROOT = Path(__file__).parents[2]
OPTION_NAMES = {o.option for o in OPTIONS} | {"--no-lmms-" + o.option[len("--lmms-") :] for o in OPTIONS}
PLACEHOLDERS = {"my_model", "NAME"}
OTHER_PROGRAMS = {"ray", "export", "cd", "python", "python3", "git", ".", "head", "grep", "eval", "ls", "curl", "hf"}


@cache
def task_names() -> set[str]:
    index = index_tasks([catalog.folder("benchmarks")])
    return {*index.tasks, *index.groups, *index.tags}


@cache
def extras() -> set[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = text.split("[project.optional-dependencies]")[1].split("\n[project.")[0]
    return set(re.findall(r"^(\w+) = \[", table, re.MULTILINE))


@cache
def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def missing_of_command(command: str) -> list[str]:
    """What a command names that does not exist."""
    words = shlex.split(command)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if not words:
        return []
    program, rest = Path(words[0]).name if words[0] != "." else ".", words[1:]
    if program == "python" and rest[:2] == ["-m", "pytest"]:
        program, rest = "pytest", rest[2:]
    if program == "pytest":
        return _missing_of_pytest(rest)
    if program == "pytest-lmms":
        return _missing_of_cli(rest)
    if program == "make":
        return [f"target {w}" for w in rest if "=" not in w and w not in targets()]
    if program == "pip":
        named = {e for w in rest for found in re.findall(r"\[([\w,]+)\]", w) for e in found.split(",")}
        return [f"extra {e}" for e in named - extras()]
    return [] if program in OTHER_PROGRAMS else [f"program {program}"]


def _missing_of_pytest(words: list[str]) -> list[str]:
    missing = []
    for number, word in enumerate(words):
        option, _, value = word.partition("=")
        following = value or (words[number + 1] if number + 1 < len(words) else "")
        if option.startswith(("--lmms-", "--no-lmms-")) and option not in OPTION_NAMES:
            missing.append(f"option {option}")
        if option == "--lmms-model" and following not in MODELS and following not in PLACEHOLDERS:
            missing.append(f"model {following}")
        if option == "--lmms-tasks" and "--lmms-task-paths" not in words:
            missing += [f"task {n}" for n in following.split(",") if n not in task_names()]
        if word.startswith("benchmarks") and not (ROOT / word.split("::")[0]).exists():
            missing.append(f"path {word}")
    return missing


def _missing_of_cli(words: list[str]) -> list[str]:
    if words[0] == "eval":
        flags = {f"--{s.name}" for s in spellings.SPELLINGS} | OPTION_NAMES
        return [f"flag {w}" for w in words[1:] if w.startswith("--") and w not in flags]
    try:
        cli.make_parser(words).parse_args(words)
    except SystemExit as e:
        return [] if not e.code else [f"command pytest-lmms {' '.join(words)}"]
    return []


def missing_of_python(text: str) -> list[str]:
    """Names that a Python text imports from us and that are not there; a SyntaxError is raised."""
    missing = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_lmms"):
            module = importlib.import_module(node.module)
            missing += [f"{node.module}.{a.name}" for a in node.names if not hasattr(module, a.name)]
    return missing


def missing_of_yaml(text: str) -> list[str]:
    """Top-level keys that are neither of a task nor of a config file."""
    known = {*FIELDS, "env", "include", *(o.name for o in OPTIONS), *(s.name for s in spellings.SPELLINGS)}
    return [f"key {key}" for key in yaml.safe_load(text) if key not in known]
