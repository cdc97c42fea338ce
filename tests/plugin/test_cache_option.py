"""`--lmms-cache DIR`: runs that share responses."""

from __future__ import annotations

CONFTEST = """
import pytest
from pytest_lmms.records import Response

class Model:
    {identity}
    def generate(self, requests):
        with open("asked", "a") as file:
            file.writelines(f"{{r.doc_id}}\\n" for r in requests)
        return [Response(text="A") for _ in requests]

@pytest.fixture(scope="session")
def lmms_model():
    return Model()
"""


def test_a_second_run_asks_nothing_and_a_third_with_other_settings_everything(pytester, write_task, run, results_of):
    write_task(pytester.path / "bench", "toy", 3)
    pytester.makeconftest(CONFTEST.format(identity="identity = {'name': 'mine'}"))
    asked = pytester.path / "asked"
    for more, count in (([], 3), ([], 3), (["--lmms-gen-kwargs=max_new_tokens=5"], 6), (["--lmms-cache=other"], 9)):
        assert run("bench", "--lmms-cache=kept", *more, model=None).ret == 0
        assert len(asked.read_text().splitlines()) == count
        assert results_of()["results"]["toy"]["exact_match,none"] == 1.0


def test_a_model_that_cannot_be_told_apart_is_refused(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 3)
    pytester.makeconftest(CONFTEST.format(identity=""))
    result = run("bench", "--lmms-cache=kept", model=None)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--lmms-cache: Model has no identity*"])
    assert not (pytester.path / "asked").exists()
