"""`pytest-lmms version`."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version


def test_the_version_is_that_of_the_package(run):
    assert run("version") == (0, version("pytest-lmms") + "\n", "")


def test_versions_of_what_scores_depend_on_are_told_on_request(run):
    found = json.loads(run("version", "--json")[1])
    assert found["python"] == platform.python_version()
    assert found["pytest"] == version("pytest")
    assert "pytest-lmms" in run("version", "--all")[1]
