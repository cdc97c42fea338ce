"""README on PyPI: its links and its picture lead into the repository that the release was made from."""

from __future__ import annotations

import re
from pathlib import Path

from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

from tools.long_description import absolute

ROOT = Path(__file__).parents[2]
GITHUB = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_SHA": "abc"}
TARGETS = re.compile(r"\]\(([^)]+)\)")


def project():
    return ProjectMetadata(str(ROOT), PluginManager()).core


def test_a_build_on_github_links_to_the_files_of_its_commit(monkeypatch):
    for name, value in GITHUB.items():
        monkeypatch.setenv(name, value)
    built = project()
    assert built.urls["Source"] == "https://github.com/o/r"
    places = {target: target.partition("/abc/")[2] for target in TARGETS.findall(built.readme)}
    assert "https://github.com/o/r/raw/abc/docs/pictures/report.png" in places
    assert "https://github.com/o/r/blob/abc/docs/running.md" in places
    assert all((ROOT / path).is_file() for path in places.values()), places


def test_a_build_elsewhere_leaves_readme_as_it_is(monkeypatch):
    for name in GITHUB:
        monkeypatch.delenv(name, raising=False)
    built = project()
    assert built.readme == (ROOT / "README.md").read_text(encoding="utf-8")
    assert not built.urls


def test_only_links_to_files_of_the_repository_are_changed():
    text = "[a](https://x.org/a) [b](#b) [c](c.md#d) ![e](e.png) `[f]`(g)"
    assert absolute(text, "R", "1") == "[a](https://x.org/a) [b](#b) [c](R/blob/1/c.md#d) ![e](R/raw/1/e.png) `[f]`(g)"
