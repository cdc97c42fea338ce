"""The endpoints and what guards them, in this process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest

from pytest_lmms import catalog
from pytest_lmms.server.app import ServerSettings, make_app
from pytest_lmms.server.policy import Policy

BODY = {"model": "dummy", "tasks": ["mme"], "settings": {"data": "mini"}}


@asynccontextmanager
async def client_of(app, **headers):
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            yield client


@pytest.fixture
def ask(tmp_path):
    """Call it with a method, a path and what httpx takes; without devices no job starts."""

    def call(method, path, *, token=None, headers=None, most_queued=100, **arguments):
        policy = Policy(output_roots=(tmp_path,), most_queued=most_queued)
        roots = (catalog.folder("benchmarks"),)
        settings = ServerSettings(tmp_path / "data", policy, devices=("cpu",), task_roots=roots, token=token)
        app = make_app(settings)
        app.state.queue.free.clear()

        async def run():
            async with client_of(app, **(headers or {})) as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(run())

    return call


def test_a_job_is_queued_with_its_place(ask):
    first = ask("POST", "/evaluate", json=BODY).json()
    second = ask("POST", "/evaluate", json=BODY).json()
    assert (first["status"], first["position_in_queue"], second["position_in_queue"]) == ("queued", 0, 1)
    queue = ask("GET", "/queue").json()
    assert queue["queued_jobs"] == [first["job_id"], second["job_id"]]
    assert queue["running_job"] is None


def test_the_request_of_lmms_evals_client_is_understood(ask):
    body = {
        "model": "dummy", "tasks": ["mme"], "model_args": {"response": "A"}, "num_fewshot": 0, "batch_size": 4,
        "device": "cuda", "limit": 8, "gen_kwargs": "max_new_tokens=4", "log_samples": True, "predict_only": False,
        "num_gpus": 1,
    }  # fmt: skip
    answer = ask("POST", "/evaluate", json=body)
    assert answer.status_code == 200, answer.text
    job = ask("GET", f"/jobs/{answer.json()['job_id']}").json()
    assert {"job_id", "status", "created_at", "started_at", "completed_at", "request", "result", "error",
            "position_in_queue"} <= job.keys()  # fmt: skip
    assert job["request"]["limit"] == 8


def test_names_are_listed(ask):
    assert "mme" in ask("GET", "/tasks").json()["tasks"]
    assert ask("GET", "/tasks").json().keys() == {"tasks"}
    assert "qwen2_5_vl" in ask("GET", "/models").json()["models"]
    assert ask("GET", "/health").json()["status"] == "healthy"  # what is_healthy of lmms-eval's client waits for


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/resume"), ("GET", "/log"), ("GET", "/events")]
)
@pytest.mark.parametrize("job_id", ["0" * 32, "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a'; DROP TABLE jobs; --"])
def test_an_unknown_job_is_not_found(ask, method, path, job_id):
    assert ask(method, f"/jobs/{job_id}{path}").status_code in {404, 405}


@pytest.mark.parametrize(
    "body",
    [
        {}, {"model": "dummy"}, {"model": "dummy", "tasks": []}, {"model": "dummy", "tasks": "mme"},
        {**BODY, "limt": 3},
        {**BODY, "num_gpus": 0}, {**BODY, "num_gpus": 2}, {**BODY, "num_gpus": 10**30}, {**BODY, "limit": "many"},
        {**BODY, "limit": -5}, {**BODY, "env": {"A": 1}}, {**BODY, "settings": []}, [], "text", 3, None,
    ],
)  # fmt: skip
def test_a_malformed_body_is_refused_and_nothing_is_queued(ask, body):
    answer = ask("POST", "/evaluate", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert ask("GET", "/queue").json()["queue_size"] == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (b'"model_args": ' + b'{"a":' * 300 + b"1" + b"}" * 300, "32 deep"),
        (b'"settings": {"system_instruction": "\\ud800"}', "surrogate"),
        (b'"model_args": {"\\udfff": 1}', "surrogate"),
        (b'"env": {"HF_TOKEN": "a\\u0000b"}', "NUL"),
    ],
    ids=["deep", "text", "key", "variable"],
)
def test_what_no_file_or_process_can_hold_is_refused_with_the_reason(ask, more, said):
    for path in ("/evaluate", "/form/preview"):
        content = b'{"model": "dummy", "tasks": ["mme"], ' + more + b"}"
        answer = ask("POST", path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text
        assert said in answer.text
    assert ask("GET", "/queue").json()["queue_size"] == 0


def test_an_imported_file_with_half_a_character_is_refused(ask):
    answer = ask("POST", "/form/import", json={"yaml": 'model: dummy\ntasks: mme\nsystem_instruction: "\\ud800"\n'})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"model": NaN}', b"[" * 50_000])
def test_a_body_that_is_no_json_is_refused(ask, content):
    answer = ask("POST", "/evaluate", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert ask("GET", "/queue").json()["queue_size"] == 0


def test_a_refusal_does_not_repeat_what_was_sent(ask):
    answer = ask("POST", "/evaluate", json={**BODY, "env": {"OPENAI_API_KEY": ["sk-canary"]}})
    assert answer.status_code == 422
    assert "sk-canary" not in answer.text


def test_a_huge_body_is_refused_with_and_without_its_length(ask):
    assert ask("POST", "/evaluate", json={**BODY, "model": "x" * 2_000_000}).status_code == 413

    async def pieces():
        for _ in range(30):
            yield b"x" * 100_000

    answer = ask("POST", "/evaluate", content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"host": "["}, 403), ({"origin": "http://["}, 403), ({"content-length": b"\xb2"}, 413),
     ({"content-length": "9" * 5000}, 413)],
)  # fmt: skip
def test_heads_that_say_nothing_readable_are_refused(ask, headers, status):
    assert ask("GET", "/jobs", headers=headers).status_code == status


def test_pages_of_other_sites_do_not_reach_it(ask):
    assert ask("GET", "/jobs", headers={"Host": "evil.example"}).status_code == 403
    assert ask("POST", "/evaluate", json=BODY, headers={"Origin": "http://evil.example"}).status_code == 403
    assert ask("POST", "/evaluate", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert ask("POST", "/evaluate", json=BODY, headers={"Origin": "http://127.0.0.1"}).status_code == 200


def test_a_token_opens_everything_and_nothing_but_health_is_open_without(ask):
    good = {"Authorization": "Bearer right", "Host": "cluster.example"}
    assert ask("GET", "/jobs", token="right", headers=good).status_code == 200
    assert ask("GET", "/jobs", token="right", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert ask("GET", "/jobs", token="right").status_code == 401
    assert ask("GET", "/openapi.json", token="right").status_code == 401
    assert ask("GET", "/health", token="right").status_code == 200


def test_a_full_queue_takes_no_more(ask):
    assert ask("POST", "/evaluate", json=BODY, most_queued=1).status_code == 200
    assert ask("POST", "/evaluate", json=BODY, most_queued=1).status_code == 503


def test_a_queued_job_is_cancelled_and_queued_again(ask):
    job_id = ask("POST", "/evaluate", json=BODY).json()["job_id"]
    assert ask("DELETE", f"/jobs/{job_id}").json()["status"] == "cancelled"
    assert ask("DELETE", f"/jobs/{job_id}").status_code == 400
    assert ask("POST", f"/jobs/{job_id}/resume").json()["status"] == "queued"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"results": {', "cannot be read"), ("[" * 100_000, "cannot be read"), ("[1]", "no results of a run"),
        ('{"results": {}, "schema_version": 99}', "version 99"),
        ('{"results": {"mme": {"a": "\\ud800"}}}', "surrogate"),
        ('{"results": {"mme": ' + '{"a":' * 99 + "1" + "}" * 101, "deep"),
    ],
    ids=["half", "deep array", "list", "later", "no Unicode", "deep"],
)  # fmt: skip
def test_a_job_whose_results_cannot_be_told_is_told_with_the_reason(tmp_path, text, said):
    roots = (catalog.folder("benchmarks"),)
    app = make_app(ServerSettings(tmp_path / "data", Policy(output_roots=(tmp_path,)), ("cpu",), task_roots=roots))
    queue = app.state.queue
    queue.free.clear()

    async def look():
        async with client_of(app) as client:
            job_id = (await client.post("/evaluate", json=BODY)).json()["job_id"]
            run = queue.files.folder(job_id) / "runs" / "run"
            run.mkdir(parents=True)
            (run / "run.json").write_text("{}")
            (run / "results.json").write_text(text)
            queue.store.change(job_id, status="completed", started_at="2026-01-01T00:00:00+00:00")
            return await client.get(f"/jobs/{job_id}")

    answer = asyncio.run(look())
    assert answer.status_code == 200, answer.text
    assert said in answer.json()["result"]["unreadable"]


def test_merging_is_refused_with_the_reason(ask):
    answer = ask("POST", "/merge", json={"checkpoint_path": "x"})
    assert answer.status_code == 501
    assert "trainer" in answer.json()["detail"]


def test_lists_are_bounded(ask):
    for _ in range(3):
        ask("POST", "/evaluate", json=BODY)
    listed = ask("GET", "/jobs", params={"limit": 2}).json()
    assert (len(listed["jobs"]), listed["total"]) == (2, 3)
    assert ask("GET", "/jobs", params={"limit": 10**9}).status_code == 422
    assert ask("GET", "/jobs", params={"status": "lost"}).status_code == 422
