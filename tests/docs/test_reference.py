"""Nothing that a user can name is undocumented, and the site builds without a warning."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import docs_reference  # noqa: E402

from pytest_lmms.cli import COMMANDS  # noqa: E402
from pytest_lmms.config import OPTIONS  # noqa: E402
from pytest_lmms.results.schema import RESULTS, RUN, SAMPLE, SCHEMAS  # noqa: E402
from pytest_lmms.tasks.spec import FIELDS, TaskSpec  # noqa: E402


def test_every_field_of_a_task_yaml_says_what_it_is():
    texts = docs_reference.field_texts(TaskSpec)
    assert set(texts) == set(FIELDS)
    assert not [n for n in texts if not texts[n] and n != "task"]
    page = docs_reference.fields_page()
    assert not [n for n in FIELDS if f"| `{n}` |" not in page]


def test_every_option_and_command_is_on_its_page():
    page = docs_reference.options_page()
    assert not [o.option for o in OPTIONS if f"`{o.option}" not in page]
    assert not [c for c in COMMANDS if f"`pytest-lmms {c}`" not in docs_reference.commands_page()]


def test_every_hook_says_when_where_and_what_its_arguments_are():
    hooks = docs_reference.hooks()
    assert len(hooks) > 5
    page = docs_reference.hooks_page()
    for name, text in hooks.items():
        assert f"## {name}(" in page
        assert "When: " in text, name
        assert "Where: " in text, name
        for argument in inspect.signature(getattr(docs_reference.hookspecs, name)).parameters:
            assert f"{argument}" in text.split("Args:")[-1], f"{name}: {argument}"


def test_every_error_says_what_it_means():
    for name, cls in docs_reference.error_classes().items():
        assert cls.__doc__, name
        assert f"## {name}\n" in docs_reference.errors_page()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    arguments = [
        "--lmms-tasks",
        "mme,mmmu_val",
        "--lmms-data",
        "mini",
        "--lmms-model",
        "dummy",
        "--lmms-output-path",
        "runs",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *arguments,
            "--lmms-repeats",
            "2",
            "--lmms-fail-under",
            "mme/mme_perception_score=0",
        ],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return next((folder / "runs").iterdir())


@pytest.mark.parametrize("name", ["results.json", "run.json"])
def test_a_real_run_holds_what_the_schema_says_and_nothing_else(run_folder, name):
    value = json.loads((run_folder / name).read_text(encoding="utf-8"))
    Draft202012Validator(SCHEMAS[name]).validate(value)


def test_every_line_of_the_samples_is_what_the_schema_says(run_folder):
    files = sorted(run_folder.glob("samples_*.jsonl"))
    assert len(files) == 2
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            Draft202012Validator(SAMPLE).validate(json.loads(line))


def test_an_undocumented_key_is_found():
    for schema in (RESULTS, RUN):
        assert not Draft202012Validator(schema).is_valid({"surprise": 1})
        assert schema["additionalProperties"] is False
    assert all(schema["properties"][k]["description"] for schema in SCHEMAS.values() for k in schema["properties"])


def test_the_site_builds_without_a_warning(tmp_path):
    command = [
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        "-d",
        tmp_path / "trees",
        "docs",
        tmp_path / "site",
    ]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--lmms-batch-size" in (tmp_path / "site" / "reference" / "options.html").read_text(encoding="utf-8")
