"""The changelog is made from files in changelog.d: they are named well, and nothing is lost on the way."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["towncrier"]
KINDS = [kind["directory"] for kind in CONFIG["type"]]
PLAIN = {"README.md"}


def is_well_named(name):
    return re.fullmatch(rf"(\+[a-z0-9]+(-[a-z0-9]+)*|\d+)\.({'|'.join(KINDS)})\.md", name) is not None


def test_every_file_is_named_by_what_it_is_and_of_which_kind():
    names = {path.name for path in (ROOT / "changelog.d").iterdir()}
    assert names >= PLAIN
    assert [name for name in sorted(names - PLAIN) if not is_well_named(name)] == []


@pytest.mark.parametrize(
    "name",
    ["cut-files.fixed.md", "+cut-files.md", "+cut-files.mended.md", "+Cut Files.fixed.md", "+cut-files.fixed.txt"],
)
def test_other_names_are_noticed(name):
    assert not is_well_named(name)


def test_a_file_holds_text_without_a_bullet():
    for path in (ROOT / "changelog.d").glob("*.*.md"):
        assert re.match(r"[^-*#\s]", path.read_text(encoding="utf-8")), path.name


@pytest.fixture
def project(tmp_path):
    """A copy of the changelog with two changes of its own."""
    shutil.copytree(ROOT / "changelog.d", tmp_path / "changelog.d")
    for path in (tmp_path / "changelog.d").glob("*.*.md"):
        path.unlink()
    for name in ("pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "changelog.d" / "+cut-files.fixed.md").write_text("Files that were cut are errors (`open_video`).\n")
    (tmp_path / "changelog.d" / "+many-gpus.added.md").write_text("Many GPUs,\nat once.\n")
    return tmp_path


def towncrier(folder, *args):
    command = [sys.executable, "-m", "towncrier", "build", "--dir", str(folder), *args]
    subprocess.run(command, check=True, capture_output=True, timeout=120, text=True)


def notes(folder, version):
    (folder / "tools").mkdir(exist_ok=True)
    script = shutil.copy(ROOT / "tools" / "release_notes.py", folder / "tools")
    return subprocess.run([sys.executable, script, version], check=False, capture_output=True, timeout=120, text=True)


def test_changes_move_into_the_changelog_and_nothing_that_stood_there_is_lost(project):
    before = (project / "CHANGELOG.md").read_text(encoding="utf-8")
    waiting = notes(project, "9.9.9")
    assert waiting.returncode == 1
    assert "+cut-files.fixed.md, +many-gpus.added.md" in waiting.stderr

    towncrier(project, "--yes", "--version", "9.9.9", "--date", "2031-01-02")

    after = (project / "CHANGELOG.md").read_text(encoding="utf-8")
    assert {path.name for path in (project / "changelog.d").iterdir()} == PLAIN
    above, below = before.split("## [Unreleased]\n")
    assert after.startswith(above + "## [Unreleased]\n")
    assert after.endswith(below)
    printed = notes(project, "9.9.9")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.startswith(
        "### Added\n\n- Many GPUs,\n  at once.\n\n### Fixed\n\n- Files that were cut are errors (`open_video`).\n"
    )


def test_a_release_that_the_changelog_does_not_know_is_refused(project):
    for path in (project / "changelog.d").glob("*.*.md"):
        path.unlink()
    refused = notes(project, "9.9.8")
    assert refused.returncode == 1
    assert "CHANGELOG.md says nothing below [9.9.8]: run make changelog VERSION=9.9.8" in refused.stderr
