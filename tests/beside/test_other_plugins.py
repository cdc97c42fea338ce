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
    "json-report": ("pytest_jsonreport", "--json-report", "--json-report-file", "report.json"),
}
VALUES = {
    "--timeout": "60", "--reruns": "1", "--html": "page.html", "--cov": "json", "--alluredir": "allure",
    "--json-report-file": "report.json",
}  # fmt: skip
"""For all of them together."""
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
    options = [f"{word}={VALUES[word]}" if word in VALUES else word for word in more]
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


MME = Path(__file__).parents[2] / "benchmarks" / "mme"
CANARY = "sk-canary-3f9c0d71b2"
CARELESS = """
import logging, os, sys, warnings
import pytest

class Careless:
    async def generate(self, request):
        key = os.environ["OPENAI_API_KEY"]
        print("asking with", key)
        print("asking with", key, file=sys.stderr)
        warnings.warn(f"the key {key} is old")
        try:
            raise ValueError(f"the key {key} is strange")
        except ValueError:
            logging.getLogger("careless").exception("caught %s", key)
        raise RuntimeError(f"no answer for {key}")

def pytest_lmms_register_models(register):
    register("careless", "conftest:Careless")

@pytest.fixture
def key():
    return os.environ["OPENAI_API_KEY"]

@pytest.fixture
def broken(key):
    raise OSError(2, key, key)
"""
TESTS = """
import pytest

class Odd(Exception):
    def __init__(self, mine): self.mine = [mine]
    def __str__(self): return self.mine[0]

def test_setup(broken): pass
def test_texts(key): assert key == "x"
def test_locals(key): print(key); raise KeyError(key)
def test_causes(key):
    try: raise Odd(key)
    except Odd as e: raise RuntimeError("no", [key]) from e
def test_reason(key): pytest.xfail(key)
def test_property(key, record_property): record_property("mine", key)
"""


@pytest.mark.parametrize("how", [("--showlocals", "-vv", "--tb=long"), ("-s",), ("--debug=debug.log",)], ids=str)
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_key_stands_in_nothing_that_any_of_them_writes(workers, how, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    (tmp_path / "conftest.py").write_text(CARELESS)
    (tmp_path / "test_more.py").write_text(TESTS)
    written = [word for words in ALONE.values() for word in words if word.startswith("--")]
    options = [f"{word}={VALUES[word]}" if word in VALUES else word for word in written]
    logs = ("-o", "log_cli=true", "-o", "log_cli_level=DEBUG", "--junitxml=junit.xml", "-o", "junit_logging=all", "-rA")
    arguments = ("--lmms-model", "careless", "-n", workers, *options, *logs, *how, str(MME), "test_more.py")
    run = Evaluated(tmp_path, *arguments, autoload=True, code=1)
    assert "no answer for ********" in run.output
    assert CANARY not in run.output
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"page.html", "report.json", "junit.xml"} <= {path.name for path in files}
    assert [str(path) for path in files if CANARY.encode() in path.read_bytes()] == []


def test_each_plugin_is_on_the_page_that_says_what_works():
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert all(f"pytest-{name}" in page or f"{name}-pytest" in page for name in ALONE)
