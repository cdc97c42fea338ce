"""Writes the pages of docs/reference from the code: options, YAML fields, hooks, run folder, errors, names, commands.

python tools/docs_reference.py FOLDER
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pytest_lmms import cli, errors, hookspecs
from pytest_lmms.config import DEFAULT, OPTIONS, Option
from pytest_lmms.results import schema
from pytest_lmms.tasks.spec import FIELDS, TaskSpec


def hooks() -> dict[str, str]:
    """Name of each hook to its docstring."""
    return {n: inspect.getdoc(f) or "" for n, f in vars(hookspecs).items() if n.startswith("pytest_lmms_")}


def field_texts(cls: type) -> dict[str, str]:
    """Name of each field of a dataclass to the text below it, which Python itself forgets."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for node, following in zip(body.body, [*body.body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            text = following.value.value if _is_text(following) else ""
            found[node.target.id] = inspect.cleandoc(text)
    return found


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def error_classes() -> dict[str, type]:
    """Every error that is raised on purpose."""
    return {n: c for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, errors.LmmsError)}


def _cell(text: Any) -> str:
    """Text as one cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _option_form(option: Option) -> str:
    if option.kind == "flag":
        return f"`{option.option}`, `{option.option.replace('--lmms-', '--no-lmms-')}`"
    value = f"[{option.metavar}]" if option.kind == "optional" else option.metavar
    return f"`{option.option} {value}`".replace("|", "\\|")


def _default(option: Option) -> str:
    value = option.default
    if option.kind == "flag":
        return "on" if option.help.endswith("(on unless switched off)") or value else "off"
    if option.name == "reasoning_tags":
        return " ".join(f"`{opening}`" for opening, _ in value)
    return "" if value in (None, DEFAULT, {}, ()) else f"`{_cell(value)}`"


def options_page() -> str:
    """All options."""
    rows = [f"| {_option_form(o)} | {_cell(o.help)} | {_default(o)} |" for o in OPTIONS]
    return "\n".join([
        "# Options", "",
        "Every option `--lmms-some-name` is also an ini key `lmms_some_name` and a key `some_name` of a config file.",
        "Defaults give way to ini keys, these to the config file, this to the command line.", "",
        "| Option | Meaning | Default |", "| --- | --- | --- |", *rows, "",
    ])  # fmt: skip


def fields_page() -> str:
    """All fields of a task YAML."""
    texts = field_texts(TaskSpec)
    rows = [f"| `{name}` | {_cell(texts[name])} |" for name in FIELDS]
    return "\n".join([
        "# Fields of a task YAML", "",
        "The schema is lmms-eval's, and what we add. `include: other.yaml` merges another file in below this one;",
        "`!function module.name` is a function of the Python file beside it. A key that is not listed is an error.", "",
        "| Field | Meaning |", "| --- | --- |", *rows, "",
    ])  # fmt: skip


def hooks_page() -> str:
    """All hooks, with signature and docstring."""
    parts = ["# Hooks", "", "Implement them in a `conftest.py` or a plugin, like pytest's own.", ""]
    for name, text in hooks().items():
        signature = inspect.signature(getattr(hookspecs, name)).replace(return_annotation=inspect.Signature.empty)
        names = ", ".join(signature.parameters)
        parts += [f"## {name}({names})", "", *_docstring(text), ""]
    return "\n".join(parts)


def _docstring(text: str) -> Iterator[str]:
    """Google's sections as Markdown."""
    for line in text.replace("``", "`").splitlines():
        if re.fullmatch(r"[A-Z]\w+:", line):
            yield f"**{line}**\n"
        elif found := re.fullmatch(r"    (\w+): (.*)", line):
            yield f"- `{found[1]}`: {found[2]}"
        elif line.startswith(" " * 8):
            yield "  " + line.strip()
        else:
            yield line.strip()


def run_folder_page() -> str:
    """The files of a run, each with its schema."""
    parts = [
        "# Run folder", "",
        "Each schema is [JSON Schema](https://json-schema.org), and a value in `pytest_lmms.results.schema`.", "",
        "| File | Holds |", "| --- | --- |",
        *(f"| `{name}` | {_cell(text)} |" for name, text in schema.FILES.items()), "",
    ]  # fmt: skip
    for name, value in schema.SCHEMAS.items():
        rows = [f"| `{key}` | {_cell(entry['description'])} |" for key, entry in value["properties"].items()]
        parts += [f"## {name}", "", value["description"], "", "| Key | Meaning |", "| --- | --- |", *rows, ""]
        parts += ["The schema:", "", "```json", json.dumps(value, indent=1), "```", ""]
    return "\n".join(parts)


def errors_page() -> str:
    """All errors, with the tree."""
    tree = (inspect.getdoc(errors) or "").split("\n\n")[1]
    parts = ["# Errors", "", "A message says where, what was found, what was expected and what to do next.", ""]
    parts += ["```text", textwrap.dedent(tree), "```", ""]
    for name, cls in error_classes().items():
        parent = cls.__mro__[1].__name__
        parts += [f"## {name}", "", f"{inspect.getdoc(cls)} A kind of `{parent}`.", ""]
    return "\n".join(parts)


def commands_page() -> str:
    """The commands of `pytest-lmms`."""
    rows = [f"| `pytest-lmms {name}` | {_cell(text)} |" for name, text in cli.COMMANDS.items()]
    return "\n".join(["# Commands", "", "| Command | What it does |", "| --- | --- |", *rows, ""])


PAGES = {
    "options": options_page,
    "fields": fields_page,
    "hooks": hooks_page,
    "run-folder": run_folder_page,
    "errors": errors_page,
    "commands": commands_page,
}


def write(folder: Path) -> None:
    """Write every page, and leave alone what is as it was, so that a second build is quick."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        path, text = folder / f"{name}.md", page()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def main() -> None:
    """Write the pages into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
