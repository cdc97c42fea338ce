"""A key shows nowhere: not in a file, a log, a traceback, a report or a process's title, wherever it was written."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_lmms.errors import UsageError
from pytest_lmms.model_args import parse_model_args
from tests.faults.conftest import CANARY

ECHO = [{"status": 401, "message": f"Incorrect API key provided: {CANARY}"}] * 40
"""Servers that say a key back, as some do."""


def places_of(text: str, folder: Path, *, besides: tuple[str, ...] = ()) -> list[str]:
    """Files below a folder that hold a text, whatever they are."""
    files = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and p.name not in besides]
    return [str(path.relative_to(folder)) for path in files if text.encode() in path.read_bytes()]


def check(lab, run, *, besides=()):
    for form in (CANARY, base64.b64encode(f"name:{CANARY}".encode()).decode()):
        assert form not in run.output, run
        assert places_of(form, lab.path, besides=besides) == []


WRITTEN = ["--junitxml=junit.xml", "-rA", "--tb=long", "--showlocals", "-vv", "-o", "log_cli=true",
           "-o", "log_cli_level=DEBUG"]  # fmt: skip


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_a_key_of_the_environment_shows_nowhere_though_the_server_says_it_back(remote, server, workers):
    remote.task(3)
    server.plan = list(ECHO)
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", "model=m,max_retries=0", *WRITTEN, *workers)
    assert run.code == 1, run
    assert server.requests[0][1]["authorization"] == f"Bearer {CANARY}"
    check(remote, run)


def test_a_key_among_the_models_arguments_shows_nowhere(remote, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    remote.task(3)
    server.plan = [*ECHO[:2]]
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", f"model=m,api_key={CANARY}", *WRITTEN)
    assert server.requests[0][1]["authorization"] == f"Bearer {CANARY}", run
    check(remote, run)


def test_a_key_in_a_config_file_shows_nowhere_else(remote, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    remote.task(3)
    config = {"env": {"OPENAI_API_KEY": CANARY}, "model": "openai", "model_args": {"model": "m"}}
    (remote.path / "run.yaml").write_text(json.dumps(config))
    server.plan = [*ECHO[:2]]
    run = remote.run("--lmms-config", "run.yaml", *WRITTEN)
    assert server.requests[0][1]["authorization"] == f"Bearer {CANARY}", run
    check(remote, run, besides=("run.yaml",))


def test_a_password_in_a_base_url_shows_nowhere(remote, server, monkeypatch):
    remote.task(3)
    server.plan = [{"status": 400, "message": "no"}]
    address = server.url.replace("://", f"://name:{CANARY}@")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    monkeypatch.setenv("OPENAI_API_BASE", address)
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", "model=m,max_retries=0", *WRITTEN)
    assert "n_error" in (remote.run_path / "results.json").read_text(), run
    check(remote, run)


ADAPTER = """
import logging, sys
import pytest
from models.openai import OpenAIChat

class Careless(OpenAIChat):
    \"\"\"Prints, logs and raises what it knows, as an adapter under construction does.\"\"\"

    async def generate(self, request):
        key = self._key.value
        print("asking with", key)
        print("asking with", key, file=sys.stderr)
        logging.getLogger("careless").warning("asking with %s", key)
        try:
            raise ValueError(f"the key {key} is strange")
        except ValueError:
            logging.getLogger("careless").exception("caught")
        raise RuntimeError(f"no answer for {key}")

def pytest_lmms_register_models(register):
    register("careless", "conftest:Careless")
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_a_key_that_an_adapter_prints_logs_and_raises_shows_nowhere(remote, server, workers):
    remote.task(3)
    (remote.path / "conftest.py").write_text(ADAPTER)
    run = remote.run("--lmms-model", "careless", "--lmms-model-args", "model=m", "--lmms-report", *WRITTEN, *workers)
    assert run.code == 1, run
    assert "no answer for ********" in run.output
    assert (remote.run_path / "report.html").is_file()
    check(remote, run)


def test_a_key_in_the_locals_of_a_failing_fixture_shows_nowhere(remote, server):
    remote.task(2)
    (remote.path / "conftest.py").write_text(
        "import os, pytest\n@pytest.fixture(scope='session')\ndef lmms_model():\n"
        "    mine = os.environ['OPENAI_API_KEY']\n    raise RuntimeError(f'no model for {mine}')\n"
    )
    (remote.path / "bench" / "test_more.py").write_text(
        "import os\ndef test_more(lmms_model): pass\n"
        "def test_locals():\n    mine = os.environ['OPENAI_API_KEY']\n    print(mine)\n    assert mine == 'x'\n"
    )
    run = remote.run(*WRITTEN)
    assert "mine       = '********'" in run.output, run
    check(remote, run)


@pytest.mark.parametrize("where", ["headers", "query", "user", "user alone"])
def test_a_key_in_headers_or_in_the_address_shows_nowhere(remote, server, monkeypatch, where):
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    monkeypatch.delenv("OPENAI_API_BASE")
    remote.task(3)
    arguments = {
        "headers": {"base_url": server.url, "extra_headers": {"X-Gateway": f"Bearer {CANARY}"}},
        "query": {"base_url": f"{server.url}?api_key={CANARY}&region=eu"},
        "user": {"base_url": server.url.replace("://", f"://name:{CANARY}@")},
        "user alone": {"base_url": server.url.replace("://", f"://{CANARY}@")},
    }[where]
    config = {"model": "openai", "model_args": {"model": "m", "max_retries": 0, **arguments}}
    (remote.path / "run.yaml").write_text(json.dumps(config))
    server.plan = [{}, *ECHO]
    run = remote.run("--lmms-config", "run.yaml", "-n", "2", "--lmms-report", *WRITTEN)
    path, headers, _ = server.requests[0]
    assert headers.get("x-gateway") == (f"Bearer {CANARY}" if where == "headers" else None), run
    assert path == "/v1/chat/completions" + (f"?api_key={CANARY}&region=eu" if where == "query" else "")
    if where == "user":
        assert headers["authorization"] == "Basic " + base64.b64encode(f"name:{CANARY}".encode()).decode()
    assert "n_error" in (remote.run_path / "results.json").read_text()
    check(remote, run, besides=("run.yaml",))
    exported = subprocess.run(
        [sys.executable, "-m", "pytest_lmms", "config", "export", str(remote.run_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "openai" in exported.stdout, exported.stderr
    assert CANARY not in exported.stdout + exported.stderr


OTHER_PLUGIN = """
import json, logging, pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    told = [str(report.longrepr), report.sections, report.user_properties, item._report_sections, str(call.excinfo)]
    with open("told.txt", "a") as file:
        print(*told, getattr(report, "wasxfail", ""), file=file)
    return report

def tell(what):
    with open("told.txt", "a") as file:
        print(what, file=file)

def telling(finalizer):
    def finish():
        try:
            finalizer()
        except Exception as e:
            tell(f"finalizer {e!r}")
            raise
    return finish

@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    try:
        return (yield)
    except Exception as e:
        tell(repr(e))
        raise
    finally:
        fixturedef._finalizers[:] = map(telling, fixturedef._finalizers)

class Records(logging.Handler):
    def emit(self, record):
        tell(f"record {record.__dict__}")

logging.getLogger("mine").addHandler(Records())
"""
TESTS = """
import logging, os, pytest
KEY = os.environ["OPENAI_API_KEY"]

@pytest.fixture
def broken():
    raise OSError(2, KEY, KEY)

@pytest.fixture
def ends_badly():
    yield
    raise ConnectionError(KEY)

def test_setup(broken): pass
def test_teardown(ends_badly): pass
def test_fields(): logging.getLogger("mine").warning("see", extra={"mine": KEY, "more": {"deep": [KEY, 1]}})
def test_print_and_error(): print(KEY); raise KeyError(KEY)
def test_reason(): pytest.xfail(KEY)
def test_property(record_property): record_property("mine", KEY)
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_another_plugin_finds_no_key_in_what_pytest_gives_it(remote, server, workers):
    remote.task(2)
    (remote.path / "conftest.py").write_text(ADAPTER)
    (remote.path / "other.py").write_text(OTHER_PLUGIN)
    (remote.path / "bench" / "test_more.py").write_text(TESTS)
    arguments = ("--lmms-model", "careless", "--lmms-model-args", "model=m", *WRITTEN, *workers)
    run = remote.run(*arguments, plugins=("xdist", "other"))
    told = (remote.path / "told.txt").read_text()
    assert "FileNotFoundError(2, '********')" in told
    assert "finalizer ConnectionError('********')" in told
    assert "'mine': '********', 'more': {'deep': ['********', 1]}" in told
    assert "no answer for ********" in told
    assert "asking with ********" in told
    check(remote, run)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
@pytest.mark.parametrize("how", ["-s", "--debug=pytest.log"])
def test_a_key_is_neither_in_prints_that_nobody_captures_nor_in_the_log_of_pytests_hooks(remote, server, how, workers):
    remote.task(2)
    (remote.path / "conftest.py").write_text(ADAPTER)
    (remote.path / "bench" / "test_more.py").write_text(TESTS)
    run = remote.run("--lmms-model", "careless", "--lmms-model-args", "model=m", *WRITTEN, *workers, how)
    assert ("asking with ********" in run.output) or how != "-s" or workers, run
    check(remote, run)


OTHER_WAYS = """
import threading, warnings
from models.openai import OpenAIChat

class Careless(OpenAIChat):
    async def generate(self, request):
        key = self._key.value
        warnings.warn(f"the key {key} is old")
        def work():
            try:
                raise ValueError(f"no {key}")
            except ValueError:
                raise RuntimeError(f"no thread for {key}")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return await super().generate(request)

def pytest_lmms_register_models(register):
    register("careless", "conftest:Careless")
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_a_key_in_warnings_and_in_errors_of_threads_shows_nowhere(remote, server, workers):
    remote.task(3)
    (remote.path / "conftest.py").write_text(OTHER_WAYS)
    run = remote.run("--lmms-model", "careless", "--lmms-model-args", "model=m", *WRITTEN, *workers)
    assert run.code == 0, run
    assert "the key ******** is old" in run.output
    assert "RuntimeError: no thread for ********" in run.output
    check(remote, run)


def test_a_key_that_a_judges_server_says_back_shows_nowhere(remote, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    code = (
        "def judged(doc, results, reply):\n    return {'acc': float(reply)}\n"
        "def process(doc, results):\n    return {'acc': 0.0}\nprocess.judged = judged\n"
    )
    metric = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
    remote.task(3, code=code, process_results="!function utils.process", metric_list=[metric])
    (remote.path / "bench" / "rubric.yaml").write_text(
        "version: 1\nsystem: You grade.\nprompt: '{{response}}'\nreply: '{{score}}'\n"
        "verdict:\n  score: {type: number, minimum: 0, maximum: 1}\n"
    )
    server.plan = list(ECHO)
    judge = f"api_key={CANARY},max_retries=0"
    run = remote.run("--lmms-model", "dummy", "--lmms-judge", "openai:m", "--lmms-judge-args", judge, *WRITTEN)
    assert server.requests[0][1]["authorization"] == f"Bearer {CANARY}", run
    assert "Incorrect API key provided: ********" in run.output
    check(remote, run)


def test_a_token_of_a_tasks_dataset_and_a_key_in_an_aggregations_error_are_in_no_results(remote, server):
    code = (
        "import os\ndef process(doc, results):\n    return {'acc': 1}\n"
        "def aggregate(items):\n    raise RuntimeError('not with ' + os.environ['OPENAI_API_KEY'])\n"
    )
    metric = {"metric": "acc", "aggregation": "!function utils.aggregate", "higher_is_better": True}
    remote.task(
        3, code=code, process_results="!function utils.process", metric_list=[metric],
        dataset_kwargs={"token": f"{CANARY}-of-the-task"},
    )  # fmt: skip
    run = remote.run("--lmms-model", "dummy", "--lmms-report", *WRITTEN)
    assert "RuntimeError: not with ********" in run.output
    assert remote.results["configs"]["toy"]["dataset_kwargs"] == {"token": "********"}
    check(remote, run, besides=("toy.yaml",))


@pytest.mark.parametrize("written", ["api_key='{}", '{{"api_key": "{}"', '{{"api_key": "{}"}}', "api_key={},oops"])
def test_arguments_that_cannot_be_read_are_told_without_their_key(written):
    with pytest.raises(UsageError) as told:
        parse_model_args(written.format(CANARY))
    assert CANARY not in str(told.value)


def test_trackers_are_told_no_key(remote, server, monkeypatch):
    if missing := [n for n in ("wandb", "tensorboard") if importlib.util.find_spec(n) is None]:
        pytest.skip(f"{missing[0]} is not installed")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    monkeypatch.setenv("WANDB_MODE", "offline")
    remote.task(2)
    arguments = f"model=m,api_key={CANARY},base_url={server.url}?token={CANARY}"
    targets = "tensorboard:folder=boards; wandb:project=p,folder=runs"
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", arguments, "--lmms-log-to", targets)
    assert run.code == 0, run
    assert list(remote.path.glob("boards/**/*tfevents*"))
    assert "lmms: logged to wandb: " in run.output, run.output
    end = time.monotonic() + 60
    while not list(remote.path.glob("**/*.wandb")):  # its own process writes the file
        assert time.monotonic() < end, run.output
        time.sleep(0.05)
    check(remote, run)


def test_a_wrong_argument_beside_a_key_is_told_without_it(remote, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    remote.task(2)
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", f"model=m,api_kye={CANARY},api_key={CANARY}")
    assert run.code == 4, run
    check(remote, run)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_key_of_the_environment_is_in_no_process_title(remote, server):
    remote.task(6)
    server.pause_seconds = 0.1
    titles = []
    process = remote.start("--lmms-model", "openai", "--lmms-model-args", "model=m", "-n", "2")
    done = threading.Event()

    def look():
        while not done.wait(0.05):
            listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False)
            titles.append(listing.stdout)

    thread = threading.Thread(target=look)
    thread.start()
    run = remote.finish(process)
    done.set()
    thread.join()
    assert run.code == 0, run
    assert titles
    assert not any(CANARY in title for title in titles)
    assert os.environ["OPENAI_API_KEY"] == CANARY


ENDINGS = {
    "an exit": "raise SystemExit(mine)",
    "an interruption": "raise KeyboardInterrupt(mine)",
    "a usage error": "raise UsageError(f'no model for {mine}')",
    "errors in errors, with notes": (
        "error = RuntimeError('x', [mine])\n        error.add_note(mine)\n        raise error from KeyError(mine)"
    ),
    "a finalizer": (
        "class Thing:\n            def __del__(self):\n                raise ValueError(os.environ['OPENAI_API_KEY'])\n"
        "        Thing()\n        raise ValueError('no model')"
    ),
}


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["in process", "a worker"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_key_in_what_ends_the_making_of_a_model_shows_nowhere(remote, server, ending, workers):
    remote.task(2)
    (remote.path / "conftest.py").write_text(
        "import os\nfrom pytest_lmms.errors import UsageError\n\nclass Broken:\n    def __init__(self):\n"
        f"        mine = os.environ['OPENAI_API_KEY']\n        {ENDINGS[ending]}\n"
        "    async def generate(self, request): ...\n\n"
        "def pytest_lmms_register_models(register):\n    register('broken', 'conftest:Broken')\n"
    )
    run = remote.run("--lmms-model", "broken", *WRITTEN, *workers)
    assert run.code not in (0, 5), run
    if not (workers and ending in ("an exit", "an interruption")):  # those of a worker end it without a word
        assert "********" in run.output, run
    check(remote, run)


LONG_KEY = "eyJhbGciOiJSUzI1NiJ9." + "".join(f"{i:04x}" for i in range(300))
ODD_KEYS = {
    "a list": ["openai", {"api_key": [CANARY]}],
    "a name of nobody": ["openai", {"api_keys2": CANARY}],
    "headers in a list": ["openai", {"extra_headers": [f"X-Gateway: {CANARY}"]}],
    "a number": ["openai", {"api_key": 7394018265019}],
    "a judge": ["dummy", {}],
}


@pytest.mark.parametrize("odd", ODD_KEYS)
@pytest.mark.parametrize("dry", [(), ("--lmms-dry-run",)], ids=["run", "dry run"])
def test_a_key_written_where_it_cannot_be_used_shows_nowhere(remote, server, monkeypatch, odd, dry):
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    remote.task(2)
    name, arguments = ODD_KEYS[odd]
    judge = {"judge": "openai:m", "judge_args": {"api_key": [CANARY]}} if odd == "a judge" else {}
    config = {"model": name, "model_args": {"model": "m", **arguments} if arguments else {}, **judge}
    (remote.path / "run.yaml").write_text(json.dumps(config))
    secret = "7394018265019" if odd == "a number" else CANARY
    server.plan = [{"status": 401, "message": f"wrong key: {secret}"}] * 40
    run = remote.run("--lmms-config", "run.yaml", "--lmms-report", *WRITTEN, *dry)
    assert secret not in run.output, run
    assert places_of(secret, remote.path, besides=("run.yaml",)) == []


def test_nothing_of_a_long_key_shows_where_it_was_cut(remote, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", LONG_KEY)
    remote.task(2)
    (remote.path / "conftest.py").write_text(ADAPTER)
    server.plan = [{"status": 401, "message": f"{'x' * 400} wrong key: {LONG_KEY}"}] * 40
    (remote.path / "bench" / "test_more.py").write_text(
        "import os\ndef test_locals():\n    mine = os.environ['OPENAI_API_KEY']\n    assert mine == 'x'\n"
    )
    for name in ("openai", "careless"):
        options = ["--junitxml=junit.xml", "--showlocals", "-rA"]  # with -vv, nothing is cut
        run = remote.run("--lmms-model", name, "--lmms-model-args", "model=m,max_retries=0", *options)
        assert run.code == 1, run
        assert "mine       = '********...********'" in run.output, run
        for part in (LONG_KEY[:20], LONG_KEY[-20:]):
            assert part not in run.output, run
            assert places_of(part, remote.path) == []


@pytest.mark.parametrize("text", ["model=m,api_key=abc,{}", "api_key {}", "api_key:{}", "model=m,api_key: {}"])
def test_arguments_with_a_comma_or_another_sign_in_the_wrong_place_are_told_without_their_key(text):
    with pytest.raises(UsageError, match="cannot read") as told:
        parse_model_args(text.format(CANARY))
    assert CANARY not in str(told.value)
