"""Everything that the skills tell an agent to type, typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKILL = ROOT / "skills" / "pytest-lmms-guide"
PAGES = [SKILL / "SKILL.md", *sorted((SKILL / "references").glob("*.md"))]
BLOCK = re.compile(r"<!-- (file: (?P<name>[\w.]+)|run|server) -->\n```\w+\n(?P<text>.*?)```", re.DOTALL)
sys.path.insert(0, str(ROOT / "tests" / "server"))


def shell(command, folder):
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = f"set -eo pipefail; {command.replace(' | head -n 3', '')}"
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=180
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_command_of_a_page_does_what_the_page_says(page, tmp_path):
    blocks = list(BLOCK.finditer(page.read_text(encoding="utf-8")))
    assert blocks
    for block in blocks:
        text = block["text"]
        if block["name"]:
            (tmp_path / block["name"]).write_text(text, encoding="utf-8")
        elif block[1] == "run":
            for command in text.strip().splitlines():
                done = shell(command, tmp_path)
                assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        else:
            from served import Served

            server = Served(tmp_path)
            try:
                (tmp_path / "example.py").write_text(text.replace("http://127.0.0.1:8000", server.url))
                done = shell(f"{sys.executable} example.py", tmp_path)
            finally:
                server.stop()
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("completed")


def test_the_pages_are_linked_and_every_link_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    linked = set(re.findall(r"\(references/(\w[\w-]*\.md)\)", PAGES[0].read_text(encoding="utf-8")))
    assert linked == {p.name for p in PAGES[1:]}


def test_files_that_the_pages_name_are_there():
    for page in PAGES:
        for path in re.findall(r"`((?:docs|models|pytest_lmms)/[\w/]+\.(?:md|py))`", page.read_text(encoding="utf-8")):
            assert (ROOT / path).is_file(), f"{page.name}: {path}"
