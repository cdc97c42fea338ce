"""A fixture that fails: its documents are errors with records, and can be asked again; a usage error leaves nothing."""

from __future__ import annotations

import pytest
from run_helpers import lab  # noqa: F401

FAILS_WITHOUT_A_FILE = """
from pathlib import Path
import pytest
from pytest_lmms.records import Response


class Model:
    def generate(self, requests):
        return [Response(text="A") for _ in requests]


@pytest.fixture(scope="session")
def lmms_model():
    if not (Path(__file__).parent / "weights").exists():
        raise OSError("the weights are on a disk that is not there")
    return Model()
"""
USAGE_ERROR = """
import pytest
from pytest_lmms.errors import UsageError


@pytest.fixture(scope="session")
def lmms_model():
    print("looking for the model")
    raise UsageError("this model wants another argument")
"""
OWN_PATH = """
@pytest.fixture(autouse=True)
def for_each_document():
    yield
"""
WAYS = pytest.mark.parametrize(
    ("more", "code"), [((), ""), (("-n", "2"), ""), ((), OWN_PATH)], ids=["in process", "workers", "pytest's own path"]
)


@WAYS
def test_documents_without_a_model_are_errors_that_can_be_asked_again(lab, more, code):  # noqa: F811
    lab.task(6)
    (lab.path / "conftest.py").write_text(FAILS_WITHOUT_A_FILE + code)
    run = lab.run(*more)
    assert run.code == 1, run
    records = lab.records()
    assert [r["status"] for r in records] == ["error"] * 6
    assert all("the weights are on a disk that is not there" in r["error"] and r["doc_hash"] for r in records)
    assert lab.results["counts"]["n_error"] == 6
    assert lab.results["counts"]["n_expected"] == 6
    assert "have no record" not in run.output
    hashes = [r["doc_hash"] for r in records]
    (lab.path / "weights").touch()
    again = lab.run("--lmms-retry-errors", *more)
    assert again.code == 0, again
    assert lab.results["counts"]["n_scored"] == 6
    assert [r["doc_hash"] for r in lab.records()] == hashes


@WAYS
def test_a_usage_error_in_a_fixture_leaves_no_run_folder(lab, more, code):  # noqa: F811
    lab.task(6)
    (lab.path / "conftest.py").write_text(USAGE_ERROR + code)
    run = lab.run(*more)
    assert run.code == 4, run
    told = run.output.count("this model wants another argument")
    assert told == 1 or (code and told)  # pytest's own path shows the source as well
    assert not list(lab.path.glob("results/*"))


def test_a_skip_in_a_fixture_stays_a_skip(lab):  # noqa: F811
    lab.task(3)
    text = USAGE_ERROR.replace('raise UsageError("this model wants another argument")', 'pytest.skip("no GPU")')
    (lab.path / "conftest.py").write_text(text)
    run = lab.run()
    assert "3 skipped" in run.output, run
    assert run.code == 0
    assert not list(lab.path.glob("results/*/samples_*"))
