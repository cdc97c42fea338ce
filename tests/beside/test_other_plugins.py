"""Plugins that people combine with ours change no score: `make test-plugins`, where all of them are installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = {
    "timeout": ("timeout", "--timeout", "60"),
    "rerunfailures": ("rerunfailures", "--reruns", "2"),
    "html": ("metadata", "-p", "html", "--html", "page.html"),
    "randomly": ("randomly",),
    "cov": ("pytest_cov", "--cov", "json"),
    "sugar": ("sugar",),
    "allure": ("allure_pytest", "--alluredir", "allure"),
}
EVALUATION = ("--lmms-tasks", "mme,mmmu_val", "--lmms-data", "mini", "-q")


class Evaluated:
    def __init__(self, folder, *arguments, autoload=False, code=0):
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        named = () if autoload else ("-p", "pytest_lmms.plugin", "-p", "xdist")
        environ |= {} if autoload else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-m", "pytest", *named, *EVALUATION, "--lmms-output-path", "out", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=300
        )
        self.output = done.stdout + done.stderr
        assert done.returncode == code, self.output
        (self.run,) = (folder / "out").iterdir()
        self.results = json.loads((self.run / "results.json").read_text(encoding="utf-8"))

    def records(self, task):
        lines = (self.run / f"samples_{task}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    return Evaluated(tmp_path_factory.mktemp("alone"), "--lmms-model", "dummy").results["results"]


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("plugin", ALONE)
def test_a_plugin_changes_no_score(plugin, workers, tmp_path, expected):
    run = Evaluated(tmp_path, "--lmms-model", "dummy", "-n", workers, "-p", *ALONE[plugin])
    assert run.results["results"] == expected
    assert [r["doc_id"] for r in run.records("mme")] == list(range(8))


@pytest.mark.parametrize("workers", ["0", "2"])
def test_all_of_them_together_change_no_score(workers, tmp_path, expected):
    more = [word for words in ALONE.values() for word in words if word.startswith("--")]
    values = {"--timeout": "60", "--reruns": "1", "--html": "page.html", "--cov": "json", "--alluredir": "allure"}
    options = [f"{word}={values[word]}" for word in more]
    run = Evaluated(tmp_path, "--lmms-model", "dummy", "-n", workers, *options, autoload=True)
    assert run.results["results"] == expected
    assert "mme[7]" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(list((tmp_path / "allure").glob("*-result.json"))) == 14


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_document_that_errors_is_one_record_however_often_it_is_rerun(workers, tmp_path):
    answers = {f"mme[{i}]": "Yes" for i in range(8) if i != 3}
    (tmp_path / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
    words = ("-n", workers, "-p", "rerunfailures", "--reruns", "2", "--lmms-tasks", "mme")
    run = Evaluated(tmp_path, *words, "--lmms-model", "scripted", "--lmms-model-args", "file=answers.json", code=1)
    assert [r["doc_id"] for r in run.records("mme")] == list(range(8))
    assert [r["doc_id"] for r in run.records("mme") if r["status"] == "error"] == [3]
    assert run.results["counts"]["n_scored"] == 7
    assert "1 failed, 7 passed, 2 rerun" in run.output


def test_each_plugin_is_on_the_page_that_says_what_works():
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert all(f"pytest-{name}" in page or f"{name}-pytest" in page for name in ALONE)
