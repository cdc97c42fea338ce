"""What README and docs tell a reader to type is typed; what cannot run here names only what exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from existing import missing_of_command, missing_of_python, missing_of_yaml  # noqa: E402
from snippets import MARKERS, snippets_of  # noqa: E402

SKILLS = sorted((ROOT / "skills").rglob("*.md"))
DOCS = [p for p in sorted((ROOT / "docs").rglob("*.md")) if "reference" not in p.parts]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS, *SKILLS]


def name(page):
    return str(page.relative_to(ROOT))


def typed(page):
    return [s for s in snippets_of(page.read_text(encoding="utf-8")) if s.marker in (None, "exit", "file")]


RUN = [p for p in PAGES if p not in SKILLS and any(s.language in ("bash", "python") for s in typed(p))]


def shell(command, folder):
    paths = os.pathsep.join([str(ROOT), str(folder)])
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "LMMS_"))}
    environ |= {"PYTHONPATH": paths, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", f"set -eo pipefail; {command}"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("page", RUN, ids=name)
def test_every_snippet_of_a_page_does_what_the_page_says(page, tmp_path):
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    for snippet in typed(page):
        where = f"{name(page)}:{snippet.line}"
        if snippet.marker == "file":
            path = tmp_path / snippet.value
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(snippet.text, encoding="utf-8")
        elif snippet.language == "python":
            (tmp_path / "snippet.py").write_text(snippet.text, encoding="utf-8")
            done = shell("python snippet.py", tmp_path)
            assert done.returncode == 0, f"{where}\n{done.stderr}"
        elif snippet.language == "bash":
            wanted = int(snippet.value) if snippet.marker == "exit" else 0
            for command in snippet.commands:
                done = shell(command, tmp_path)
                assert done.returncode == wanted, f"{where}: {command}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_names_only_what_exists(page):
    missing = []
    for snippet in snippets_of(page.read_text(encoding="utf-8")):
        where = f"{name(page)}:{snippet.line}"
        assert snippet.marker is None or snippet.marker in MARKERS, where
        if snippet.marker == "parsed":
            assert snippet.value, f"{where}: no reason"
        found = []
        if snippet.language == "bash" and snippet.marker == "parsed":
            found = [m for command in snippet.commands for m in missing_of_command(command)]
        elif snippet.language == "python":
            found = missing_of_python(snippet.text)
        elif snippet.language == "yaml":
            found = missing_of_yaml(snippet.text)
        missing += [f"{where}: {m}" for m in found]
    assert not missing


@pytest.mark.parametrize("page", [p for p in PAGES if p not in SKILLS], ids=name)
def test_commands_stand_in_fences_where_they_are_tested(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    starts = ("    pytest", "    pip ", "    make ", "    python", "```sh", "```console", "```yml")
    assert not [f"{name(page)}:{n}: {line}" for n, line in enumerate(lines, 1) if line.startswith(starts)]


def test_a_recipe_for_contributors_has_at_most_ten_lines_of_each_kind():
    page = ROOT / "docs" / "contributing.md"
    found = {s.line: len(s.text.splitlines()) for s in snippets_of(page.read_text(encoding="utf-8"))}
    assert {line: number for line, number in found.items() if number > 10} == {}
    headings = re.findall(r"^## An? (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["benchmark", "model", "metric", "filter", "logger", "message format"]


def test_tutorials_read_after_the_readme_begin_no_benchmark_of_a_name_that_is_taken():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]
    made = [n for page in pages for n in re.findall(r"tasks new (\w+)", page.read_text(encoding="utf-8"))]
    made.remove("NAME")  # of the table of commands
    assert len(made) == len(set(made)) > 1


def test_the_checks_of_what_exists_find_what_does_not():
    assert missing_of_command("pytest --lmms-tusks mme --lmms-model gpt9 --lmms-limit 2") == [
        "option --lmms-tusks",
        "model gpt9",
    ]
    assert missing_of_command("X=1 pytest --lmms-tasks mme,nope --lmms-model=dummy") == ["task nope"]
    assert missing_of_command("make doks") == ["target doks"]
    assert missing_of_command("pip install 'pytest-lmms[locol]'") == ["extra locol"]
    assert missing_of_command("pytest-lmms comparo a b")
    assert missing_of_command("pytest-lmms eval --modle x") == ["flag --modle"]
    assert missing_of_python("from pytest_lmms.records import Respond") == ["pytest_lmms.records.Respond"]
    assert missing_of_yaml("tusk: a\nmodel: b\n") == ["key tusk"]
