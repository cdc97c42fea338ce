"""What stands around the package: citation, hooks of git, workflows. They name what is there, and ask for no more."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps_of(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_the_citation_names_this_version():
    citation = read(ROOT / "CITATION.cff")
    assert (citation["title"], citation["version"]) == (PROJECT["name"], PROJECT["version"])
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "authors"} <= citation.keys()


def test_the_hooks_of_git_run_what_setup_dev_installs():
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    installed = " ".join(PROJECT["optional-dependencies"]["dev"] + PROJECT["dependencies"])
    for hook in repository["hooks"]:
        program = re.match(r"\.venv/bin/(\w+)", hook["entry"])
        assert program is not None, hook["id"]
        assert program[1] in installed, hook["id"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_a_workflow_may_read_and_nothing_else_unless_a_job_says_so(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 90, name
        checkouts = [s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout")]
        assert all(s["with"]["persist-credentials"] is False for s in checkouts), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_every_action_of_a_workflow_has_a_version(path):
    for step in steps_of(read(path)):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step["uses"]), step["uses"]


def test_what_workflows_call_is_there():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in WORKFLOWS:
        for step in steps_of(read(path)):
            command = step.get("run", "")
            assert set(re.findall(r"\bmake ([a-z0-9-]+)", command)) <= targets, command
            for file in re.findall(r"bash (\S+)", command):
                assert (ROOT / file).is_file(), file


def test_the_wheel_is_tried_on_every_python_that_it_is_for():
    tried = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["wheel"]["strategy"]["matrix"]["python"]
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert tried == named


def test_a_release_is_published_without_a_token():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    publish = yaml.safe_load(text)["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
