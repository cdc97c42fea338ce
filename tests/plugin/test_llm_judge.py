"""Task files as lmms-eval's are written, which call its judges themselves, run unchanged where it is not installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tests.chat_server import Server

pytestmark = pytest.mark.skipif(
    "site-packages" in str(getattr(importlib.util.find_spec("lmms_eval"), "origin", "")),
    reason="lmms-eval is installed, and its own judges are asked",
)
# As lmms-eval's own files do it: a server at import time, and whatever fails is a 0.
UTILS = """
import logging
import os

from lmms_eval.llm_judge import Request, ServerConfig, get_server

eval_logger = logging.getLogger("lmms-eval")
API_TYPE = os.getenv("API_TYPE", "openai")
GPT_MODEL = os.getenv("MODEL_VERSION", "gpt-4o-2024-11-20")
server_config = ServerConfig(model_name=GPT_MODEL, num_retries=1, retry_delay=0.01)
server = get_server(server_name=API_TYPE, config=server_config)
PROMPT = "Is {prediction} the same as {answer}, given {question}? Say 1 or 0."


def my_process_results(doc, results):
    try:
        result = server.evaluate_binary(
            question=doc["question"], answer=doc["answer"], prediction=results[0], output_format="0/1",
            custom_prompt=PROMPT,
        )
        judge_score = result["result"] if result["success"] else 0
    except Exception as e:
        eval_logger.error(f"Error getting judge response: {e}")
        judge_score = 0
    return {"judge_score": judge_score}


def my_request_results(doc, results):
    request = Request(messages=[{"role": "user", "content": f"Rate {results[0]}."}], config=server_config)
    response = server.evaluate(request)
    return {"judge_score": float(response.content)}
"""
METRICS = [{"metric": "judge_score", "aggregation": "mean", "higher_is_better": True}]


@pytest.fixture
def server(monkeypatch):
    for name in ("API_TYPE", "OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    found = Server()
    found.text = "1"
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_API_URL", found.url)
    monkeypatch.setenv("MODEL_VERSION", "gpt-of-mine")
    yield found
    found.httpd.shutdown()
    found.httpd.server_close()


@pytest.fixture
def task(pytester, write_task):
    def task(function="my_process_results", rows=3):
        write_task(
            pytester.path / "mine", "mine", rows, code=UTILS, metric_list=METRICS,
            process_results=f"!function utils.{function}",
        )  # fmt: skip

    return task


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_an_unchanged_file_asks_the_judge_that_its_variables_name(run, task, server, results_of, records_of, workers):
    server.text = lambda body: "0" if "q2" in json.dumps(body) else "1"
    task()
    assert run("mine", *workers).ret == 0
    assert results_of()["results"]["mine"]["judge_score,none"] == pytest.approx(2 / 3)
    bodies = [body for _, _, body in server.requests]
    assert {body["model"] for body in bodies} == {"gpt-of-mine"}
    assert "Is A the same as A, given q0? Say 1 or 0." in json.dumps(bodies)
    verdict = records_of("mine")[2]["verdicts"][0]
    assert verdict.pop("text").strip() == "0"
    assert verdict == {"judge": "openai:gpt-of-mine", "input_tokens": 11, "output_tokens": 4}


@pytest.mark.parametrize("api_type", ["openai", "async_openai", "local"])
def test_each_kind_of_judge_is_asked(run, task, server, results_of, monkeypatch, api_type):
    monkeypatch.setenv("API_TYPE", api_type)
    monkeypatch.setenv("LLM_JUDGE_URL", f"{server.url}/chat/completions")
    task(rows=1)
    assert run("mine").ret == 0
    assert results_of()["results"]["mine"]["judge_score,none"] == 1.0


@pytest.mark.parametrize("version", [None, "2024-06-01"])
@pytest.mark.parametrize("api_type", ["azure", "async_azure"])
def test_azures_variables_name_a_judge(run, task, server, results_of, monkeypatch, api_type, version):
    monkeypatch.setenv("API_TYPE", api_type)
    monkeypatch.setenv("AZURE_API_KEY", "none")
    monkeypatch.setenv("AZURE_ENDPOINT", server.url.removesuffix("/v1"))
    monkeypatch.delenv("OPENAI_API_VERSION", raising=False)
    monkeypatch.setenv("API_VERSION", version or "")
    task(rows=1)
    assert run("mine").ret == 0
    assert results_of()["results"]["mine"]["judge_score,none"] == 1.0
    path, headers, _ = server.requests[0]
    assert "/deployments/gpt-of-mine/" in path
    assert path.endswith(f"api-version={version or '2024-02-15-preview'}")
    assert headers["api-key"] == "none"


def test_a_dummy_judge_asks_nobody(run, task, server, results_of, monkeypatch):
    monkeypatch.setenv("API_TYPE", "dummy")
    task(rows=1)
    assert run("mine").ret == 0
    assert results_of()["results"]["mine"]["judge_score,none"] == 0.0
    assert server.requests == []


def test_the_users_judge_answers_in_the_place_of_the_one_that_a_file_names(
    run, task, results_of, records_of, monkeypatch
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    task(rows=1)
    assert run("mine", "--lmms-judge=dummy", "--lmms-judge-args=response=1").ret == 0
    assert results_of()["results"]["mine"]["judge_score,none"] == 1.0
    assert records_of("mine")[0]["verdicts"][0]["judge"] == "dummy"


@pytest.mark.parametrize(
    "step", [{"status": 400, "message": "no such model"}, {"text": "", "reason": "content_filter"}]
)
def test_a_judge_that_fails_is_an_error_though_the_file_makes_a_zero_of_it(
    run, task, server, records_of, results_of, step
):
    server.plan = [step]
    task(rows=1)
    assert run("mine").ret == 1
    (record,) = records_of("mine")
    assert record["status"] == "error"
    assert "no such model" in record["error"] or "refused" in record["error"]
    assert results_of()["results"]["mine"].get("judge_score,none") is None


def test_a_reply_that_the_file_cannot_read_is_an_error_of_that_document(run, task, server, records_of):
    server.text = "I would rather not."
    task("my_request_results", rows=1)
    assert run("mine").ret == 1
    assert "ValueError" in records_of("mine")[0]["error"]


def test_a_missing_key_is_told_before_anything_is_asked(run, task, server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    task()
    done = run("mine")
    assert done.ret == pytest.ExitCode.INTERRUPTED
    assert "OPENAI_API_KEY" in done.stdout.str()
    assert server.requests == []


def test_checking_a_task_asks_nobody(task, server, pytester):
    from pytest_lmms.lint import check_task

    task()
    assert check_task(pytester.path / "mine" / "mine.yaml") == []
    assert server.requests == []


def test_replies_are_kept_and_not_asked_for_again(run, task, server, records_of, run_folder):
    task()
    assert run("mine").ret == 0
    asked = len(server.requests)
    assert run("mine", f"--lmms-resume={run_folder()}").ret == 0
    assert len(server.requests) == asked == 3


def test_documents_are_judged_side_by_side(run, task, server, results_of):
    server.pause_seconds = 0.2
    task("my_request_results", rows=8)
    assert run("mine").ret == 0
    assert results_of()["results"]["mine"]["judge_score,none"] == 1.0
    assert server.most_in_flight > 2


def test_installed_modules_of_that_name_come_first(tmp_path):
    package = tmp_path / "lmms_eval" / "llm_judge"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("whose = 'their own'")
    code = (
        "from pytest_lmms import standins; standins.install(); standins.install()\n"
        "import sys, lmms_eval.llm_judge as found; print(getattr(found, 'whose', 'ours'), len(sys.meta_path))\n"
    )
    for path, said in ((str(tmp_path), "their own"), ("", "ours")):
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in (path, *sys.path) if p)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environ
        )
        assert done.stdout.startswith(said)
