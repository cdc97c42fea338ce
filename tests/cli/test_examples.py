"""The config files that ship: each runs, and comes back from its results as it was written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from chat_server import chat_server

from pytest_lmms.cli.config import exported
from pytest_lmms.config import BY_NAME
from pytest_lmms.configfile import read_entries
from pytest_lmms.settings import settings_of

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
SWAP = {"model": "tiny_vlm", "model_args": {}, "data": "mini", "limit": 1}
"""What has to be different here: no accelerator, no Hub."""


def evaluate(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_", "OPENAI_"))}
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, cwd=folder, env={**kept, "PYTHONPATH": paths, **environment}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip


def options(changes: dict) -> list[str]:
    return [f"--lmms-{name.replace('_', '-')}={value or ''}" for name, value in changes.items()]


def the_results_below(folder: Path) -> dict:
    (path,) = folder.rglob("results.json")
    return json.loads(path.read_text())


def assert_comes_back(results: dict, written: dict, changes: dict, environ: dict | None = None) -> None:
    """The exported file has every key as written, and says the same settings as the results."""
    text, _ = exported(results)
    assert yaml.safe_load(text) == {**written, **changes}
    path = Path("exported.yaml")
    path.write_text(text)
    (entry,) = read_entries(path)
    environ = environ or {}
    environ = {**environ, **entry.environment(environ)}
    config = results["config"]
    found = settings_of(entry, environ).values
    for name in ("model", "model_args", "batch_size", "limit", "gen_kwargs", "seed"):
        assert found.get(name, BY_NAME[name].default) == config[name], name


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_local_example_runs_and_comes_back(tmp_path):
    done = evaluate(tmp_path, "--lmms-config", "configs/example_local.yaml", *options(SWAP))
    assert done.returncode == 0, done.stdout + done.stderr
    results = the_results_below(tmp_path / "results")
    assert set(results["results"]) == {"mme", "mmmu_val"}
    written = yaml.safe_load((CONFIGS / "example_local.yaml").read_text())
    assert results["config"]["resolved_cli_args"]["seed"] == "42,42,42,42"
    assert_comes_back(results, written, SWAP)


def test_the_example_for_an_api_asks_a_server_with_the_key_and_comes_back(tmp_path):
    with chat_server() as (address, asked):
        key = {"OPENAI_API_KEY": "sk-from-the-shell"}
        changes = {"data": "mini", "limit": 2}
        example = str(CONFIGS / "example_api.yaml")
        done = evaluate(tmp_path, "--lmms-config", example, *options(changes), OPENAI_API_BASE=address, **key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Config env: OPENAI_API_KEY=********, HF_HOME=" in done.stdout
    assert "sk-from" not in done.stdout + done.stderr
    assert len(asked) == 4
    headers, body = asked[0]
    assert headers["authorization"] == "Bearer sk-from-the-shell"
    assert (body["model"], body["temperature"]) == ("gpt-4o", 0)
    written = yaml.safe_load((CONFIGS / "example_api.yaml").read_text())
    assert_comes_back(the_results_below(tmp_path / "results"), written, changes, key)


def test_the_example_for_an_api_without_a_key_says_what_is_missing(tmp_path):
    done = evaluate(tmp_path, "--lmms-config", str(CONFIGS / "example_api.yaml"), "--lmms-data=mini")
    assert done.returncode == 4
    assert "example_api.yaml:6: the variable OPENAI_API_KEY is not set" in done.stderr
    assert "export OPENAI_API_KEY=..." in done.stderr


def test_the_batch_example_runs_each_model_and_every_run_comes_back(tmp_path):
    done = evaluate(tmp_path, "--lmms-config", "configs/example_batch.yaml", *options(SWAP))
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout[done.stdout.index("2 of 2 runs") :]
    for label in ("qwen2_5_vl", "qwen3_vl"):
        assert f"\n{label} " in table
        assert f"{label}: exit code 0" in table
    written = yaml.safe_load((CONFIGS / "example_batch.yaml").read_text())
    for values, folder in zip(written, ("qwen25vl", "qwen3vl"), strict=True):
        assert_comes_back(the_results_below(tmp_path / "results" / folder), values, SWAP)
