"""The safety benchmark, end to end: refusals by a provider, toxicity by a service, verdicts of a judge."""

from __future__ import annotations

import json

import pytest

from tests.chat_server import Server
from tests.perspective_server import PerspectiveServer

HARMFUL = "safety_jailbreakbench_harmful"
VERDICT = {"reason": "because", "refuses": False, "helps": True, "toxicity": 0.25}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.delenv("PERSPECTIVE_API_KEY", raising=False)
    found = Server()
    yield found
    found.httpd.shutdown()
    found.httpd.server_close()


@pytest.fixture
def perspective(monkeypatch):
    found = PerspectiveServer()
    monkeypatch.setenv("PERSPECTIVE_API_KEY", "secret-key")
    monkeypatch.setenv("PERSPECTIVE_API_URL", found.url)
    monkeypatch.setenv("PERSPECTIVE_API_QPS", "1000")
    yield found
    found.close()


@pytest.fixture
def ask(run, server):
    def ask(*arguments, task=HARMFUL):
        return run(
            f"--lmms-tasks={task}", f"--lmms-model-args=model=m,base_url={server.url}", *arguments, model="openai"
        )

    return ask


@pytest.mark.parametrize(
    "refused",
    [
        {"reason": "content_filter", "text": "I was about to"},
        {"status": 400, "code": "content_filter", "message": "blocked"},
        {"status": 400, "code": "content_policy_violation", "message": "blocked"},
    ],
    ids=["finish reason", "content filter", "content policy"],
)
@pytest.mark.parametrize("task", [HARMFUL, "safety_jailbreakbench_benign"])
def test_a_providers_refusal_is_filtered_and_a_refusal(ask, server, results_of, records_of, refused, task):
    server.text = "Certainly, and gladly"
    server.plan = [refused]
    assert ask("--lmms-limit=4", "--lmms-batch-size=1", task=task).ret == 0
    results, records = results_of(), records_of(task)
    assert sorted(r["status"] for r in records) == ["filtered", "scored", "scored", "scored"]
    (filtered,) = [r for r in records if r["status"] == "filtered"]
    refusal = "refusal_rate" if task == HARMFUL else "over_refusal_rate"
    assert filtered["content_filter_rejection_rate"] == 1.0
    assert filtered["jailbreak_asr"] == 0.0
    assert results["results"][task]["content_filter_rejection_rate,none"] == 0.25
    assert results["results"][task][f"{refusal},none"] == 0.25
    assert results["counts"]["n_filtered"] == 1


def test_the_group_adds_both_splits_up(run, server, results_of):
    server.text = "I cannot help with that."
    done = run("--lmms-tasks=safety_redteam", f"--lmms-model-args=model=m,base_url={server.url}", model="openai")
    assert done.ret == 0
    results = results_of()["results"]
    assert results[HARMFUL]["refusal_rate,none"] == 1.0
    assert results["safety_jailbreakbench_benign"]["over_refusal_rate,none"] == 1.0
    assert "safety_redteam" in done.stdout.str()


def test_toxicity_comes_from_the_service_where_there_is_a_key(ask, server, perspective, results_of, records_of):
    server.text = "rude rude rude, it takes a bomb"
    assert ask("--lmms-limit=2").ret == 0
    found = results_of()["results"][HARMFUL]
    assert found["toxicity_score,none"] == pytest.approx(0.3)
    assert found["toxicity_by_perspective,none"] == 1.0
    assert found["jailbreak_asr,none"] == 1.0
    assert {r["toxicity_by_perspective"] for r in records_of(HARMFUL)} == {1.0}
    assert any("bomb" in body["comment"]["text"] for _, body in perspective.requests)


def test_without_a_key_toxicity_comes_from_phrases(ask, server, results_of):
    server.text = "rude rude rude, it takes a bomb"
    assert ask("--lmms-limit=2").ret == 0
    found = results_of()["results"][HARMFUL]
    assert found["toxicity_score,none"] == 0.25
    assert found.get("toxicity_by_perspective,none") is None


def test_a_key_that_is_refused_is_told_before_anything_is_asked(ask, server, perspective, monkeypatch):
    monkeypatch.setenv("PERSPECTIVE_API_KEY", "another-key-77d0")
    done = ask("--lmms-limit=2")
    assert done.ret == pytest.ExitCode.INTERRUPTED
    assert "HTTP 403" in done.stdout.str() + done.stderr.str()
    assert "77d0" not in done.stdout.str() + done.stderr.str()
    assert server.requests == []


def test_a_service_that_fails_is_an_error_of_the_document(ask, server, perspective, records_of):
    server.text = "rude words of this test alone"
    perspective.fails = lambda body: (401, b"no", {}) if "this test alone" in body["comment"]["text"] else None
    assert ask("--lmms-limit=1").ret == 1
    (record,) = records_of(HARMFUL)
    assert record["status"] == "error"
    assert "Perspective API: HTTP 401" in record["error"]


def test_a_judge_says_whether_a_response_refuses_and_helps(ask, server, results_of, records_of):
    server.text = lambda body: json.dumps(VERDICT) if "response_format" in body else "Certainly: first you take"
    arguments = ["--lmms-judge=openai:judge", f"--lmms-judge-args=base_url={server.url}", "--lmms-limit=2"]
    assert ask(*arguments).ret == 0
    found = results_of()["results"][HARMFUL]
    assert found["judged_jailbreak_asr,none"] == 1.0
    assert found["judged_refusal_rate,none"] == 0.0
    assert found["judged_toxicity_score,none"] == 0.25
    assert found["jailbreak_asr,none"] == 0.0
    assert records_of(HARMFUL)[0]["verdicts"][0]["rubric"] == "safety_redteam@1"
