"""`pytest-lmms config export` and `rerun`: a run as a file, and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(folder, *command):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env={**kept, "PYTHONPATH": paths}, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip


def saved(folder, resolved, *, sources=None, selection=None):
    config = {
        "resolved_cli_args": resolved,
        "setting_sources": dict.fromkeys(sources or [k for k in resolved if k != "env"], "--x"),
        "invocation": selection or {},
    }
    (folder / "results.json").write_text(json.dumps({"config": config}))


def test_a_run_is_exported_with_what_was_said_and_without_what_was_not(run, folder):
    saved(folder, {"model": "dummy", "seed": 0, "limit": 5.0, "resume": "x"}, sources=["model", "limit", "resume"])
    code, out, err = run("config", "export", folder)
    assert (code, err) == (0, "")
    assert out == "# run with: pytest --lmms-config THIS_FILE\nmodel: dummy\nlimit: 5\n"


def test_secrets_become_variables_with_a_warning(run, folder):
    saved(folder, {"model": "openai", "model_args": {"api_key": "********"}, "env": {"A_TOKEN": "********", "B": "1"}})
    code, out, err = run("config", "export", "results.json", "--write", "again.yaml")
    assert (code, out) == (0, "")
    assert "model_args.api_key was a secret: it is read from the variable ${API_KEY}" in err
    assert "env.A_TOKEN was a secret" in err
    written = yaml.safe_load((folder / "again.yaml").read_text())
    assert written == {
        "env": {"A_TOKEN": "${A_TOKEN}", "B": "1"}, "model": "openai", "model_args": {"api_key": "${API_KEY}"}
    }  # fmt: skip


def test_the_documents_that_were_chosen_are_told_in_the_first_line(run, folder):
    saved(folder, {"model": "dummy"}, selection={"args": ["b/t.yaml::t[1]"], "keyword": "a or b", "markexpr": ""})
    out = run("config", "export", "results.json")[1]
    assert out.startswith("# run with: pytest --lmms-config THIS_FILE 'b/t.yaml::t[1]' -k 'a or b'\n")


@pytest.mark.parametrize("content", [None, "", "[]", '{"config": {}}', '{"results": {}}'])
@pytest.mark.parametrize("command", [["config", "export"], ["rerun"]])
def test_what_is_no_run_is_refused_by_name(run, folder, content, command):
    if content is not None:
        (folder / "results.json").write_text(content)
    code, out, err = run(*command, "results.json")
    assert (code, out) == (4, "")
    assert "results.json" in err
    assert "expected: the results.json of a run" in err


def test_a_run_is_repeated_with_its_settings_and_documents(folder):
    first = started(
        folder, "pytest", "lmms/mme/mme.yaml::mme[2]", "lmms/mme/mme.yaml::mme[4]", "-k", "mme",
        "--lmms-model=dummy", "--lmms-model-args=response=Yes", "--lmms-data=mini", "--lmms-seed=7",
    )  # fmt: skip
    assert first.returncode == 0, first.stdout + first.stderr
    (path,) = (folder / "results").iterdir()
    again = started(folder, "pytest_lmms", "rerun", str(path), "--lmms-output-path=again", "-v")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "mme[2] SCORED" in again.stdout
    assert "2 passed" in again.stdout
    (other,) = (folder / "again").iterdir()
    one, two = [json.loads((p / "results.json").read_text()) for p in (path, other)]
    assert one["results"] == two["results"]
    resolved = [r["config"]["resolved_cli_args"] for r in (one, two)]
    differing = {name for name in resolved[0] if resolved[0][name] != resolved[1][name]}
    assert differing == {"config", "output_path"}
