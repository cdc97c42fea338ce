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
OWN_WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = [*OWN_WORKFLOWS, ROOT / "examples" / "github_actions" / "evaluate.yml"]


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
def test_every_action_of_a_workflow_is_a_commit_with_its_version_beside_it(path):
    """A tag can be moved by whoever takes over an action; all workflows name the same commit of it."""
    used = re.findall(r"uses: (\S+)@(\S+)(.*)", path.read_text(encoding="utf-8"))
    assert len(used) == sum("uses" in step for step in steps_of(read(path)))
    for name, commit, comment in used:
        assert re.fullmatch(r"[0-9a-f]{40}", commit), name
        assert re.fullmatch(r"  # v\d+\.\d+\.\d+", comment), name


def test_workflows_agree_about_the_commit_of_an_action():
    lines = re.findall(
        r"uses: ([^@/\s]+/[^@/\s]+)[^@\s]*@(\S+)", "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    )
    assert len(dict(lines)) == len(set(lines)) > 1


def test_what_workflows_call_is_there():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in OWN_WORKFLOWS:
        for step in steps_of(read(path)):
            command = step.get("run", "")
            assert set(re.findall(r"\bmake ([a-z0-9-]+)", command)) <= targets, command
            for file in re.findall(r"bash (\S+)", command):
                assert (ROOT / file).is_file(), file


def test_wheel_and_tests_are_tried_on_every_python_that_they_are_for():
    jobs = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert jobs["wheel"]["strategy"]["matrix"]["python"] == named
    everything = [
        s["with"]["python-version"] for s in jobs["everything"]["steps"] if "python-version" in s.get("with", {})
    ]
    assert sorted([*everything, *jobs["pythons"]["strategy"]["matrix"]["python"]]) == named
    assert any("make test-python" in step.get("run", "") for step in jobs["pythons"]["steps"])


def test_a_release_is_published_without_a_token():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    publish = yaml.safe_load(text)["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
