"""The catalogue: found without settings, loaded without touching `sys.path`."""

from __future__ import annotations

import sys

import pytest

from pytest_lmms import catalog
from pytest_lmms.errors import UsageError


def test_the_catalogue_of_a_checkout_lies_beside_the_package():
    assert (catalog.root() / "pytest_lmms" / "catalog.py").is_file()
    assert catalog.folder("models").name == "models"


def test_an_unknown_folder_is_a_usage_error():
    with pytest.raises(UsageError, match="did you mean: models"):
        catalog.folder("model")


def test_an_incomplete_installation_is_named(monkeypatch, tmp_path):
    package = tmp_path / "site" / "pytest_lmms"
    package.mkdir(parents=True)
    monkeypatch.setattr(catalog, "__file__", str(package / "catalog.py"))
    with pytest.raises(UsageError, match="missing"):
        catalog.root()
    (package / "_catalog" / "models").mkdir(parents=True)
    assert catalog.root() == package / "_catalog"
    assert catalog.folder("models") == package / "_catalog" / "models"


def test_model_files_load_under_our_own_package_and_leave_sys_path_alone():
    before = list(sys.path)
    module = catalog.import_model_module("dummy")
    assert module.__name__ == "pytest_lmms._models.dummy"
    assert catalog.import_model_module("dummy") is module
    assert sys.path == before
    assert "models" not in sys.modules


def test_an_unknown_model_file_is_a_usage_error():
    with pytest.raises(UsageError, match="did you mean: dummy"):
        catalog.import_model_module("dumy")


def test_files_of_the_same_name_in_two_folders_stay_apart(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "utils.py").write_text(f"NAME = {name!r}\n")
    one = catalog.import_file(tmp_path / "one" / "utils.py")
    two = catalog.import_file(tmp_path / "two" / "utils.py")
    assert (one.NAME, two.NAME) == ("one", "two")
    assert catalog.import_file(tmp_path / "one" / "utils.py") is one
    assert "utils" not in sys.modules


def test_files_of_one_folder_import_one_another(tmp_path):
    (tmp_path / "base.py").write_text("VALUE = 3\n")
    (tmp_path / "top.py").write_text("from .base import VALUE\n")
    module = catalog.import_file(tmp_path / "top.py", package="pytest_lmms._trial")
    assert module.VALUE == 3
    assert module.__name__ == "pytest_lmms._trial.top"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.py").write_text("")
    with pytest.raises(UsageError, match="already"):
        catalog.import_file(tmp_path / "other" / "x.py", package="pytest_lmms._trial")


def test_a_file_that_fails_to_import_leaves_nothing_behind(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        catalog.import_file(path)
    path.write_text("VALUE = 1\n")
    assert catalog.import_file(path).VALUE == 1


def test_what_is_no_python_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        catalog.import_file(tmp_path / "none.py")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UsageError, match="not a Python file"):
        catalog.import_file(tmp_path / "a.txt")
