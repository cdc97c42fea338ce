"""What every folder in benchmarks/ promises: short files, no model names, a page, a miniature."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
FOLDERS = sorted(p for p in BENCHMARKS.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))
YAMLS = sorted(p for folder in FOLDERS for p in folder.rglob("*.yaml"))
UTILS = sorted(p for folder in FOLDERS for p in folder.rglob("*.py"))
MAX_LINES_OF_YAML = 60
MAX_LINES_OF_UTILS = 120
NUM_ROWS_OF_MINIATURE = range(4, 9)
MEDIUM = "<a medium>"
NOT_MODELS = {"default", "dataset"}
"""Sections of `lmms_eval_specific_kwargs` that are no model's."""


class _Loader(yaml.SafeLoader):
    """Reads `!function module.name` as that text."""


_Loader.add_constructor("!function", lambda _, node: f"!function {node.value}")


def read(path: Path) -> dict[str, Any]:
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    assert isinstance(content, dict), f"{path}: not a mapping"
    return content


def name_of(path: Path) -> str:
    return str(path.relative_to(BENCHMARKS))


def tasks() -> Iterator[tuple[Path, str]]:
    """Every YAML whose `task` is a name, and that name."""
    for path in YAMLS:
        task = read(path).get("task")
        if isinstance(task, str) and not path.name.startswith("_"):
            yield path, task


def model_names() -> set[str]:
    """Names of adapters, and of models that any task's YAML has a prompt for."""
    adapters = {p.stem for p in (ROOT / "models").glob("*.py") if not p.stem.startswith("_")}
    prompts: set[str] = set()
    for path in YAMLS:
        variants = read(path).get("lmms_eval_specific_kwargs") or {}
        prompts |= {name for name, value in variants.items() if isinstance(value, dict)}
    return (adapters | prompts) - NOT_MODELS


def num_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def media_of(value: Any) -> Iterator[str]:
    """File names of all media in a row of a miniature."""
    if isinstance(value, list):
        for entry in value:
            yield from media_of(entry)
    elif isinstance(value, dict):
        for key, entry in value.items():
            if key == "$features":
                continue
            if key.startswith("$") and isinstance(entry, str):
                yield entry
            else:
                yield from media_of(entry)


TASKS = list(tasks())
each_task = pytest.mark.parametrize(("path", "task"), TASKS, ids=[task for _, task in TASKS])


@pytest.mark.parametrize("path", YAMLS, ids=name_of)
def test_a_yaml_is_short(path: Path) -> None:
    assert num_lines(path) <= MAX_LINES_OF_YAML


@pytest.mark.parametrize("path", UTILS, ids=name_of)
def test_the_code_of_a_benchmark_is_short(path: Path) -> None:
    assert num_lines(path) <= MAX_LINES_OF_UTILS, "move what another task can use to pytest_lmms/scoring"


@pytest.mark.parametrize("path", UTILS, ids=name_of)
def test_the_code_of_a_benchmark_names_no_model(path: Path) -> None:
    words = set(re.findall(r"\w+", path.read_text(encoding="utf-8").lower()))
    named = words & {name.lower() for name in model_names()}
    assert not named, "the pair of model and prompt belongs in lmms_eval_specific_kwargs"


@pytest.mark.parametrize("path", UTILS, ids=name_of)
def test_the_code_of_a_benchmark_opens_no_network_and_needs_no_torch(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    imported = set(re.findall(r"^\s*(?:import|from)\s+(\w+)", text, flags=re.MULTILINE))
    assert not imported & {
        "torch",
        "transformers",
        "requests",
        "urllib",
        "httpx",
        "socket",
        "openai",
    }


@pytest.mark.parametrize("path", YAMLS, ids=name_of)
def test_functions_of_a_yaml_exist_beside_it(path: Path) -> None:
    for module, function in re.findall(r"!function (\w+)\.(\w+)", path.read_text(encoding="utf-8")):
        beside = path.parent / f"{module}.py"
        assert beside.is_file(), f"{beside.name} is missing"
        defined = re.search(rf"^(?:def|class) {function}\b|^{function}\b.*=", beside.read_text(), re.MULTILINE)
        assert defined, f"{beside.name} has no {function}"


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_benchmark_has_a_page_that_starts_with_a_row_and_lists_differences(folder: Path) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")
    headings = re.findall(r"^##? (.+)$", page, flags=re.MULTILINE)
    assert any(h.startswith("Differences") for h in headings), f"headings: {headings}"
    before_first_section = page.partition("\n## ")[0]
    assert re.search(r"^```json\n\{", before_first_section, flags=re.MULTILINE), "no raw row first"


def row_of_page(page: str) -> Any:
    """The row that a page shows; what stands for media, such as ``<PIL image>``, is `MEDIUM`."""
    block = re.search(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert block, "no row"
    texts_and_media = r'"(?:[^"\\]|\\.)*"|<[^<>]+>'
    return json.loads(re.sub(texts_and_media, lambda m: m[0] if m[0][0] == '"' else f'"{MEDIUM}"', block[1]))


def is_shown(shown: Any, stored: Any) -> bool:
    """Whether a page's value is a miniature's; three dots end a text that is cut."""
    if shown == MEDIUM:
        return True
    if isinstance(shown, str) and shown.endswith("...") and isinstance(stored, str):
        return stored.startswith(shown.removesuffix("..."))
    if isinstance(shown, list):
        return isinstance(stored, list) and len(shown) == len(stored) and all(map(is_shown, shown, stored))
    if isinstance(shown, dict):
        same_keys = isinstance(stored, dict) and shown.keys() == stored.keys()
        return same_keys and all(is_shown(value, stored[key]) for key, value in shown.items())
    return bool(shown == stored)


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_the_row_on_a_page_is_one_of_its_miniature(folder: Path) -> None:
    row = row_of_page((folder / "README.md").read_text(encoding="utf-8"))
    stored = [json.loads(x) for p in (folder / "miniature").glob("*.jsonl") for x in p.read_text("utf-8").splitlines()]
    assert any(is_shown(row, other) for other in stored)


def prompt_of_page(page: str) -> str:
    """The text that a page says a model is sent, without white space at the ends of its lines."""
    block = re.search(r"^(`{3,})text\n(.*?)^\1$", page.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    assert block, "no prompt"
    return unpadded(block[2])


def unpadded(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def prompts_sent(folder: Path, row: Any) -> Iterator[str]:
    """What a model is sent first by the folder's tasks whose miniatures hold a row, system prompts left out."""
    paths = index_tasks([folder]).tasks
    for file in sorted((folder / "miniature").glob("*.jsonl")):
        if any(is_shown(row, json.loads(line)) for line in file.read_text("utf-8").splitlines()):
            task = load_task(paths[file.stem])
            rows = task.open_rows("mini")
            for request in (task.render(rows, index).requests[0] for index in range(len(rows))):
                said = [m for m in request.messages if m.role != "system"]
                yield unpadded(dataclasses.replace(request, messages=tuple(said)).text)


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_the_prompt_on_a_page_is_what_a_task_sends(folder: Path) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")
    shown = re.compile(".*".join(map(re.escape, prompt_of_page(page).split("..."))), re.DOTALL)
    sent = list(dict.fromkeys(prompts_sent(folder, row_of_page(page))))
    assert any(shown.fullmatch(text) for text in sent), sent[:3]


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_page_says_licence_and_whom_to_cite(folder: Path) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^## Licen[cs]e", page, flags=re.MULTILINE)
    assert "```bibtex\n@" in page


def test_task_names_are_unique() -> None:
    names = [task for _, task in TASKS]
    assert len(set(names)) == len(names)


@each_task
def test_a_task_has_a_miniature_of_4_to_8_rows_with_one_set_of_columns(path: Path, task: str) -> None:
    miniature = path.parent / "miniature" / f"{task}.jsonl"
    assert miniature.is_file(), f"{miniature.relative_to(ROOT)} is missing"
    lines = miniature.read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if "$features" not in row]
    assert len(rows) in NUM_ROWS_OF_MINIATURE
    assert {frozenset(row) for row in rows} == {frozenset(rows[0])}


def test_every_miniature_is_a_tasks() -> None:
    stems = {str(p.with_suffix("").relative_to(BENCHMARKS)) for p in BENCHMARKS.glob("*/miniature/*.jsonl")}
    assert stems == {str((path.parent / "miniature" / task).relative_to(BENCHMARKS)) for path, task in TASKS}


@each_task
def test_the_media_of_a_miniature_lie_beside_it(path: Path, task: str) -> None:
    folder = path.parent / "miniature"
    lines = (folder / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    names = {name for line in lines for name in media_of(json.loads(line))}
    assert not [name for name in names if not (folder / name).is_file()]
