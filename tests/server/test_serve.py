"""`pytest-lmms serve` as clients and its owner meet it: a process, real jobs, real signals."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from served import until

from pytest_lmms.cli.serve import listen
from pytest_lmms.client import AsyncEvalClient, EvalClient, JobError, RefusedError, protocol
from tests.chat_server import Server


def pids_of(text):
    """Processes whose command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in line:
                found.append(int(entry.name))
    return found


def texts_asked(server):
    return [json.dumps(body["messages"]) for _, _, body in server.requests]


def test_a_kept_connection_waits_for_no_acknowledgement():
    async def is_nagle_off():
        found = asyncio.get_running_loop().create_future()

        def connected(_, writer):
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = listen("127.0.0.1", 0)
        async with await asyncio.start_server(connected, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            writer.close()
            return await found

    assert asyncio.run(is_nagle_off())


def test_a_job_runs_and_its_scores_come_back(serve):
    server = serve()
    job_id = server.evaluate("tiny_vlm")
    job = server.client.wait_for_job(job_id, poll_interval=0.2, timeout=120)
    assert job["status"] == "completed"
    assert job["exit_code"] == 0
    assert job["progress"]["done"] == job["progress"]["total"] == 8
    assert job["result"]["results"]["mme"]["mme_perception_score,none"] > 0
    assert server.client.results(job_id) == job["result"]["results"]
    assert Path(job["run_folder"], "results.json").is_file()
    assert job["devices"] == ["cpu"]


def test_a_stream_tells_status_progress_and_log_until_the_end(serve):
    server = serve()
    events = list(server.client.stream(server.evaluate()))
    assert [e.data["status"] for e in events if e.name == "status"][-1] == "completed"
    assert [e.data["done"] for e in events if e.name == "progress"][-1] == 8
    log = "".join(e.data["text"] for e in events if e.name == "log")
    assert "8 passed" in log


def test_jobs_on_one_device_wait_for_each_other_in_order(serve, slow_arguments):
    server = serve()
    first = server.evaluate("async_openai", model_args=slow_arguments)
    second = server.evaluate()
    third = server.evaluate()
    queue = server.client.get_queue_status()
    assert (queue["running_job"], queue["queued_jobs"]) == (first, [second, third])
    assert server.job(third)["position_in_queue"] == 1
    for job_id in (first, second, third):
        server.client.wait_for_job(job_id, poll_interval=0.1, timeout=120)
    ends = [server.job(j)["completed_at"] for j in (first, second, third)]
    assert ends == sorted(ends)
    assert server.job(second)["started_at"] >= ends[0]


def test_cancelling_a_running_job_ends_its_whole_process_group(serve, slow_model, slow_arguments):
    server = serve()
    job_id = server.evaluate("async_openai", model_args=slow_arguments)
    until(lambda: slow_model.requests)
    assert pids_of(job_id)
    server.client.cancel_job(job_id)
    until(lambda: server.job(job_id)["status"] == "cancelled")
    assert not pids_of(job_id)
    with pytest.raises(JobError):
        server.client.wait_for_job(job_id)


def test_a_cancelled_queued_job_never_starts(serve, slow_arguments):
    server = serve()
    server.evaluate("async_openai", model_args=slow_arguments)
    job_id = server.evaluate()
    assert server.client.cancel_job(job_id)["status"] == "cancelled"
    assert server.job(job_id)["started_at"] is None
    with pytest.raises(RefusedError, match="nothing can be cancelled"):
        server.client.cancel_job(job_id)


def test_a_killed_server_comes_back_with_its_queue_and_resumes_without_asking_twice(serve, slow_model, slow_arguments):
    server = serve()
    running = server.evaluate("async_openai", model_args=slow_arguments)
    waiting = server.evaluate()
    until(lambda: len(slow_model.requests) > 3)  # answered are 3; progress tells of documents in their order
    server.kill()

    server.start()
    job = until(lambda: (j := server.job(running))["status"] == "failed" and j)
    assert not pids_of(running)
    assert job["is_resumable"]
    assert "the server stopped while this job ran" in job["error"]
    server.client.wait_for_job(waiting, poll_interval=0.1, timeout=120)

    asked_before = len(slow_model.requests)
    server.client.resume_job(running)
    job = server.client.wait_for_job(running, poll_interval=0.1, timeout=120)
    assert job["progress"]["total"] == 8
    asked = texts_asked(slow_model)
    assert len(asked) - asked_before <= 8 - 3
    assert len(set(asked)) == 8
    assert len(asked) <= 8 + 1  # the one in flight


def test_clients_that_wait_see_their_jobs_through_a_restart(serve, slow_model, slow_arguments):
    slow_model.plan.seconds = 3.0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = serve("--port", str(port))
    running = server.evaluate("async_openai", model_args=slow_arguments)
    waiting = server.evaluate()
    client = EvalClient(server.url)

    async def wait():
        async with AsyncEvalClient(server.url) as other:
            return await other.wait_for_job(waiting, poll_interval=0.2, timeout=120)

    with ThreadPoolExecutor() as pool:
        streamed, waited = pool.submit(lambda: list(client.stream(running))), pool.submit(asyncio.run, wait())
        until(lambda: len(slow_model.requests) > 1)
        server.kill()
        server.start()
        events = streamed.result()
        assert waited.result()["status"] == "completed"
    assert [e.data["status"] for e in events if e.name == "status"][-1] == "failed"
    told = "".join(e.data["text"] for e in events if e.name == "log")
    assert told == httpx.get(f"{server.url}/jobs/{running}/log").text
    client.close()


def test_a_server_that_stays_away_is_an_error(monkeypatch):
    monkeypatch.setattr(protocol, "AWAY_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with EvalClient(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(httpx.ConnectError):
            client.wait_for_job("0" * 32, poll_interval=0.1)
        with pytest.raises(httpx.ConnectError):
            list(client.stream("0" * 32))


def test_a_job_that_is_cancelled_while_it_starts_leaves_the_device_to_the_next(serve, slow_arguments):
    server = serve()
    job_id = server.evaluate("async_openai", model_args=slow_arguments)
    server.client.cancel_job(job_id)
    following = server.evaluate()
    until(lambda: server.job(job_id)["status"] == "cancelled")
    assert server.client.wait_for_job(following, poll_interval=0.1, timeout=120)["status"] == "completed"
    assert not pids_of(job_id)


def test_a_run_ends_when_its_server_is_gone(serve, slow_model, slow_arguments):
    server = serve()
    job_id = server.evaluate("async_openai", model_args=slow_arguments)
    until(lambda: slow_model.requests)
    server.kill()
    until(lambda: not pids_of(job_id))


def test_stopping_the_server_leaves_its_running_job_resumable(serve, slow_model, slow_arguments):
    server = serve()
    job_id = server.evaluate("async_openai", model_args=slow_arguments)
    until(lambda: slow_model.requests)
    server.stop()
    server.start()
    job = until(lambda: (j := server.job(job_id))["status"] == "failed" and j)
    assert job["is_resumable"]


def test_a_run_that_cannot_start_is_a_failed_job_with_the_reason(serve):
    server = serve()
    job_id = server.evaluate("dummy", model_args={"respnse": "A"})
    with pytest.raises(JobError, match=r"respnse(.|\n)*response"):
        server.client.wait_for_job(job_id, poll_interval=0.1, timeout=60)
    assert server.job(job_id)["result"] is None


def test_a_run_whose_documents_all_error_is_failed_not_a_score(serve):
    server = serve()
    job_id = server.evaluate("scripted", model_args={"responses": {"other": "A"}})
    job = until(lambda: (j := server.job(job_id))["status"] not in {"queued", "running"} and j)
    assert job["status"] == "failed"
    assert job["result"] is None


def test_a_failed_gate_is_a_completed_job_with_exit_code_1(serve):
    server = serve()
    job_id = server.evaluate(settings={"data": "mini", "fail_under": "mme_perception_score=1999"})
    job = server.client.wait_for_job(job_id, poll_interval=0.1, timeout=60)
    assert job["exit_code"] == 1
    assert job["result"]["gates"]


def test_two_servers_cannot_use_one_folder(serve, tmp_path):
    serve()
    command = [sys.executable, "-m", "pytest_lmms", "serve", "--port", "0", "--devices", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 4
    assert "another server uses this folder" in done.stderr
    assert "--data-dir" in done.stderr


def test_other_machines_need_a_token(tmp_path, monkeypatch):
    monkeypatch.delenv("LMMS_SERVER_TOKEN", raising=False)
    command = [sys.executable, "-m", "pytest_lmms", "serve", "--host", "0.0.0.0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 4
    assert "export LMMS_SERVER_TOKEN" in done.stderr


def test_with_a_token_only_those_who_have_it_are_answered(serve):
    server = serve(env={"LMMS_SERVER_TOKEN": "not-a-secret"})
    assert "mme" in server.client.list_tasks()
    with EvalClient(server.url, token="another") as stranger:
        assert stranger.is_healthy()
        with pytest.raises(RefusedError, match="Bearer"):
            stranger.list_tasks()


def test_a_secret_of_a_request_is_in_no_file_and_no_answer(serve, slow_arguments, tmp_path):
    server = serve()
    canary = "sk-canary-5316"
    job_id = server.evaluate("async_openai", model_args={**slow_arguments, "api_key": canary}, limit=1)
    job = server.client.wait_for_job(job_id, poll_interval=0.1, timeout=60)
    assert canary not in json.dumps([job, server.client.list_jobs()])
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and canary.encode() in p.read_bytes()]
    assert not pids_of(canary)


def test_a_thousand_queued_jobs_are_listed(serve, slow_arguments):
    server = serve()
    server.evaluate("async_openai", model_args=slow_arguments)
    ids = [server.evaluate() for _ in range(50)]
    listed = [j["job_id"] for j in server.client.list_jobs(status="queued")]
    assert listed == ids[::-1]


def environment_of(job_id):
    """Variables of a job's pytest."""
    (pid, *_) = pids_of(job_id)
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(e.decode().split("=", 1) for e in entries if b"=" in e)


def test_each_device_has_one_job_and_a_large_job_is_not_overtaken(serve, slow_arguments):
    server = serve("--devices", "3,5")
    first, second = (server.evaluate("async_openai", model_args=slow_arguments, limit=4) for _ in range(2))
    both = server.evaluate(num_gpus=2)
    last = server.evaluate()
    until(lambda: pids_of(first) and pids_of(second))
    used = [environment_of(j)["CUDA_VISIBLE_DEVICES"] for j in (first, second)]
    assert sorted(used) == ["3", "5"]
    assert server.client.get_queue_status()["queued_jobs"] == [both, last]
    for job_id in (first, second, both, last):
        server.client.wait_for_job(job_id, poll_interval=0.1, timeout=120)
    assert server.job(both)["devices"] == ["3", "5"]
    assert server.job(last)["started_at"] >= server.job(both)["completed_at"]
    with pytest.raises(RefusedError, match="num_gpus of at most 2"):
        server.evaluate(num_gpus=3)


CANARY = "sk-canary-5b1e77ac90"


def test_keys_of_a_job_show_in_no_listing_log_or_file(serve, tmp_path):
    bad = Server()
    bad.plan = [{}, *[{"status": 401, "message": f"wrong key {CANARY}"}] * 40]
    server = serve()
    arguments = {
        "model": "m",
        "max_retries": 0,
        "base_url": bad.url.replace("://", f"://me:{CANARY}@") + f"?token={CANARY}",
        "extra_headers": {"X-Gateway": CANARY},
        "api_key": [CANARY],
    }
    job_id = server.evaluate("openai", model_args=arguments, env={"OPENAI_API_KEY": CANARY})
    until(lambda: server.job(job_id)["status"] in ("completed", "failed"), 120)
    assert bad.requests[0][0] == f"/v1/chat/completions?token={CANARY}"
    assert bad.requests[0][1]["x-gateway"] == CANARY
    listed = httpx.get(f"{server.url}/jobs").text + httpx.get(f"{server.url}/jobs/{job_id}").text
    assert job_id in listed
    assert CANARY not in listed
    log = httpx.get(f"{server.url}/jobs/{job_id}/log").text
    assert "wrong key ********" in log
    assert CANARY not in log
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert [p.name for p in files if CANARY.encode() in p.read_bytes()] == []
    refused = httpx.post(f"{server.url}/evaluate", json={"model": "openai", "tasks": ["no"], "model_args": arguments})
    assert refused.status_code >= 400
    assert CANARY not in refused.text
    bad.httpd.shutdown()
    bad.httpd.server_close()


def test_a_run_in_a_folder_of_the_jobs_choice_is_in_the_viewer_while_the_owner_allows_the_folder(serve, tmp_path):
    (tmp_path / "chosen").mkdir()
    server = serve("--output-root", str(tmp_path / "chosen"))
    job_id = server.evaluate(output_dir=str(tmp_path / "chosen" / "mine"))
    key = server.client.wait_for_job(job_id, poll_interval=0.2, timeout=120)["view"]
    assert httpx.get(f"{server.url}/view/api/records", params={"run": key, "task": "mme"}).status_code == 200
    assert [r["key"] for r in httpx.get(f"{server.url}/view/api/runs").json()] == [key]
    server.stop()
    server.arguments = ()
    server.start()
    assert httpx.get(f"{server.url}/view/api/records", params={"run": key, "task": "mme"}).status_code == 404
    assert httpx.get(f"{server.url}/view/api/runs").json() == []
