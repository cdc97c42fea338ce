"""The wheel: what is in it, and that it evaluates from an empty folder beside files with the names of ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = "pytest_lmms/_catalog/"


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--no-index", "--target", folder, wheel]
    done = run(*pip, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def evaluate(installed, tmp_path):
    """Run pytest with the installed copy, in a folder that holds only decoys."""
    decoy = 'raise ImportError("the decoy was imported")\n'
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text(decoy)
    (tmp_path / "utils.py").write_text(decoy)

    def evaluate(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", *args, "--lmms-model", "dummy", "--lmms-data", "mini"]
        return run(*command, cwd=tmp_path, PYTHONPATH=str(installed))

    evaluate.folder = tmp_path
    return evaluate


def files_below(folder: str) -> set[str]:
    listed = run("git", "ls-files", folder, cwd=ROOT)
    if listed.returncode == 0:
        return set(listed.stdout.split())
    paths = (ROOT / folder).rglob("*")
    return {p.relative_to(ROOT).as_posix() for p in paths if p.is_file() and "__pycache__" not in p.parts}


# --- contents -----------------------------------------------------------------------------------------------------


def test_the_wheel_has_nothing_at_its_top_but_the_package(names):
    assert {n.split("/")[0] for n in names} == {"pytest_lmms", "pytest_lmms-0.1.0.dist-info"}


@pytest.mark.parametrize("folder", ["benchmarks", "models", "configs"])
def test_the_wheel_holds_the_whole_catalogue(names, folder):
    missing = {CATALOGUE + f for f in files_below(folder)} - names
    assert not missing


def test_the_wheel_holds_tasks_miniatures_adapters_licence_and_type_marker(names):
    assert {
        CATALOGUE + "benchmarks/mme/mme.yaml",
        CATALOGUE + "benchmarks/mme/utils.py",
        CATALOGUE + "benchmarks/mme/miniature/mme.jsonl",
        CATALOGUE + "models/dummy.py",
        "pytest_lmms/py.typed",
        "pytest_lmms-0.1.0.dist-info/licenses/LICENSE",
    } <= names


def test_the_wheel_holds_no_compiled_files_tests_or_runs(names):
    assert not [n for n in names if n.endswith((".pyc", "/run.json")) or "__pycache__" in n]
    assert not [n for n in names if re.search(r"(^|/)(tests|tools)/", n)]


def test_the_entry_point_has_the_name_of_the_module(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read("pytest_lmms-0.1.0.dist-info/entry_points.txt").decode()
    assert "[pytest11]\npytest_lmms.plugin = pytest_lmms.plugin" in text


def test_torch_is_needed_only_with_an_extra(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read("pytest_lmms-0.1.0.dist-info/METADATA").decode()
    always = [line for line in text.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert always
    assert not [line for line in always if re.search(r"torch|transformers|ray|lance", line)]


# --- running ------------------------------------------------------------------------------------------------------


def test_an_example_config_runs_from_an_empty_folder(evaluate):
    done = evaluate("--lmms-config=configs/example_local.yaml", "--lmms-model-args=", "--lmms-limit=1", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lmms/mme/mme.yaml::mme[0] " in done.stdout


def test_a_task_by_name_runs_from_an_empty_folder(evaluate, installed):
    done = evaluate("--lmms-tasks", "mme", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lmms/mme/mme.yaml::mme[0] " in done.stdout
    (run_folder,) = (evaluate.folder / "results").iterdir()
    results = json.loads((run_folder / "results.json").read_text())
    assert "mme" in results["results"]
    assert not list(evaluate.folder.rglob("_catalog"))
    where = run(
        sys.executable,
        "-c",
        "from pytest_lmms import catalog; print(catalog.root())",
        cwd=evaluate.folder,
        PYTHONPATH=str(installed),
    )
    assert Path(where.stdout.strip()) == (installed / "pytest_lmms" / "_catalog").resolve()


def test_the_command_lists_the_catalogue_from_an_empty_folder(installed, tmp_path):
    command = installed / "bin" / "pytest-lmms"
    done = run(command, "tasks", "list", "--json", cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["mme"]).is_relative_to(installed.resolve())


@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_id_that_was_printed_can_be_pasted_back(evaluate, workers):
    done = evaluate("lmms/mme/mme.yaml::mme[0]", "-v", "-n", workers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_last_failed_runs_only_what_failed(evaluate):
    (evaluate.folder / "conftest.py").write_text(
        "import json, pathlib, pytest\n"
        "from pytest_lmms.testing import ScriptedModel\n"
        "@pytest.fixture(scope='session')\n"
        "def lmms_model():\n"
        "    return ScriptedModel({'mme[3]': {'raise': 'lost'}}, default='Yes')\n"
    )
    first = evaluate("--lmms-tasks", "mme")
    assert first.returncode == 1, first.stdout + first.stderr
    assert "1 failed, 7 passed" in first.stdout
    again = evaluate("--lmms-tasks", "mme", "--lf", "-v")
    assert again.returncode == 1, again.stdout + again.stderr
    assert "lmms/mme/mme.yaml::mme[3]" in again.stdout
    assert "1 failed, 7 deselected" in again.stdout


def test_another_project_is_left_alone(evaluate):
    (evaluate.folder / "test_theirs.py").write_text("def test_one():\n    assert True\n")
    done = evaluate()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "lmms:" not in done.stdout
    assert not (evaluate.folder / "results").exists()
