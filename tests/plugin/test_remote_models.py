"""Runs against a chat-completions server on loopback: budgets, shared limits, the commands that people know."""

from __future__ import annotations

import json

import pytest
from run_helpers import lab, timeless  # noqa: F401

from tests.chat_server import Server

KEY = "sk-very-secret-key"


@pytest.fixture
def server(monkeypatch):
    for name in ("OPENAI_API_BASE", "OPENAI_BASE_URL", "OPENAI_API_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    server.text = "A"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture
def remote(lab):  # noqa: F811
    """The lab without a model of its own."""
    (lab.path / "conftest.py").unlink()
    return lab


@pytest.mark.parametrize(
    ("option", "reason", "workers"),
    [("--lmms-max-tokens=450", "450 tokens", ()), ("--lmms-max-requests=30", "30 requests", ("-n", "2"))],
    ids=["tokens in process", "requests of two workers"],
)
def test_a_spent_budget_ends_the_run_and_keeps_what_is_done(remote, server, option, reason, workers):
    remote.task(80)
    server.pause_seconds = 0.02
    command = ("--lmms-model", "openai", "--lmms-model-args", "model=m,num_concurrent=4", *workers)
    run = remote.run(*command, option)
    assert run.code == 2, run
    assert f"the budget of {reason} is spent" in remote.results["incomplete_because"]
    assert remote.results["counts"]["n_scored"] == len(server.requests)
    assert 30 <= len(server.requests) <= 30 + 8
    assert remote.results["counts"]["n_error"] == 0
    assert not (remote.run_path / "budget").exists()
    run = remote.run(*command, "--lmms-resume")
    assert run.code == 0, run
    assert len(server.requests) == 80
    assert remote.results["complete"]


def test_workers_share_the_requests_in_flight_that_are_allowed_for_all(remote, server):
    remote.task(40)
    server.pause_seconds = 0.05
    arguments = "model=m,num_concurrent=6,concurrency=fixed"
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", arguments, "-n", "2")
    assert run.code == 0, run
    assert 3 < server.most_in_flight <= 6


def test_requests_that_fail_are_errors_and_never_scores(remote, server):
    remote.task(4)
    server.plan = [{"status": 400, "message": "too long"}]
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", "model=m,num_concurrent=1")
    assert run.code == 1, run
    counts = remote.results["counts"]
    assert (counts["n_error"], counts["n_scored"]) == (1, 3)
    assert "HTTP 400" in run.output
    server.plan = [{"reason": "content_filter", "text": ""}]
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", "model=m")
    assert run.code == 0, run
    assert remote.results["counts"]["n_filtered"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "this model needs a name"),
        ("model=m,message_format=qwen", "unknown message format 'qwen'"),
        ("model=m,is_qwen3_vl=true", "use: message_format=qwen3_vl"),
        ("model=m,max_retrys=1", "did you mean: max_retries?"),
        ("model=m,pretrained=n", "several model names"),
    ],
)
def test_wrong_arguments_are_usage_errors(run, write_task, pytester, server, arguments, said):
    write_task(pytester.path / "bench", "toy", 2)
    outcome = run("bench", "--lmms-model-args", arguments, model="async_openai")
    assert outcome.ret == 4
    assert said in outcome.stdout.str() + outcome.stderr.str()
    assert not server.requests


def test_the_removed_model_and_a_setting_that_a_reasoning_model_ignores_are_usage_errors(
    run, write_task, pytester, server
):
    write_task(pytester.path / "bench", "toy", 2)
    outcome = run("bench", model="async_openai_qwen3_vl")
    assert outcome.ret == 4
    assert "--lmms-model async_openai --lmms-model-args message_format=qwen3_vl" in (
        outcome.stdout.str() + outcome.stderr.str()
    )
    gen = ("--lmms-gen-kwargs", "temperature=0.5")
    outcome = run("bench", "--lmms-model-args", "model=o3", *gen, model="openai")
    assert outcome.ret == 4
    assert "would ignore temperature" in outcome.stdout.str() + outcome.stderr.str()


@pytest.mark.parametrize(
    ("words", "model", "settings"),
    [
        ("async_openai pretrained=gpt-4o,message_format=openai mme", "gpt-4o", {"temperature": 0.0}),
        (
            "openai model=gpt-4o,max_retries=5 mme,mmmu_val --lmms-gen-kwargs temperature=0,max_new_tokens=1024",
            "gpt-4o",
            {"temperature": 0, "max_tokens": 1024},
        ),
        ("openai model=moonshotai/kimi-k2.5 mme --lmms-limit 2 --lmms-batch-size 1", "moonshotai/kimi-k2.5", {}),
        ("async_openai pretrained=Qwen/Qwen3-VL-72B,message_format=qwen3_vl videomme", "Qwen/Qwen3-VL-72B", {}),
    ],
)
def test_the_api_commands_of_lmms_evals_release_notes_run(run, server, results_of, words, model, settings):
    name, arguments, tasks, *more = words.split()
    outcome = run("--lmms-tasks", tasks, "--lmms-model-args", arguments, *more, model=name)
    assert outcome.ret == 0, outcome.stdout.str()
    assert set(results_of()["results"]) >= set(tasks.split(","))
    assert {request[2]["model"] for request in server.requests} == {model}
    assert all(request[2].get(k) == v for request in server.requests for k, v in settings.items())
    parts = [p["type"] for m in server.requests[0][2]["messages"] for p in m["content"] if isinstance(p, dict)]
    assert "image_url" in parts
    assert results_of()["efficiency"]["overall"]["total_output_tokens"] == 4 * len(server.requests)
    assert KEY not in json.dumps(results_of())


def test_the_release_notes_command_for_agents_runs(run, server, results_of):
    words = (
        "--lmms-tasks vending_bench2 --lmms-model-args model=moonshotai/kimi-k2.5 --lmms-limit 2 --lmms-batch-size 1"
    )
    outcome = run(*words.split(), model="openai")
    assert outcome.ret == 0, outcome.stdout.str()
    assert "vending_bench2" in results_of()["results"]
    assert {request[2]["model"] for request in server.requests} == {"moonshotai/kimi-k2.5"}


def test_frames_for_qwen3_vl_have_their_time_before_them(run, server):
    words = "--lmms-tasks videomme --lmms-limit 1 --lmms-model-args model=m,message_format=qwen3_vl,nframes=4"
    assert run(*words.split(), model="async_openai").ret == 0
    parts = server.requests[0][2]["messages"][-1]["content"]
    kinds = [p["type"] for p in parts]
    assert kinds.count("image_url") == 4
    before = [parts[i - 1].get("text", "") for i, kind in enumerate(kinds) if kind == "image_url"]
    assert all(text.startswith("<") and text.endswith(" seconds>") for text in before)


def test_the_release_notes_name_of_video_mme_is_corrected(run, server):
    outcome = run("--lmms-tasks", "video_mme", "--lmms-model-args", "model=m", model="async_openai")
    assert outcome.ret == 4
    assert "did you mean: videomme" in outcome.stdout.str() + outcome.stderr.str()
