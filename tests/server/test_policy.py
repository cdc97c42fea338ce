"""What a job may name, and what becomes of its secrets."""

from __future__ import annotations

import json

import pytest

from pytest_lmms import catalog
from pytest_lmms.config import OPTIONS
from pytest_lmms.errors import LmmsError
from pytest_lmms.server.policy import SETTINGS, Policy, is_loopback, plan
from pytest_lmms.server.schema import EvaluateRequest
from pytest_lmms.tasks.index import index_tasks

THROUGH_FIELDS = {"model", "model_args", "tasks", "num_fewshot", "batch_size", "limit", "gen_kwargs", "log_samples",
                  "predict_only"}  # fmt: skip
NOT_A_JOBS_BUSINESS = {
    "config": "the server writes it",
    "output_path": "the field output_dir, inside a root",
    "task_paths": "the owner's --include-path",
    "cache": "a path of the server",
    "resume": "POST /jobs/{id}/resume",
    "retry_errors": "POST /jobs/{id}/resume",
    "save_baseline": "writes outside the job's folder",
    "log_to": "sends records to other places",
    "list": "GET /tasks and /models",
    "dry_run": "asks nothing",
    "judge_args": "may hold addresses and keys; the owner sets variables",
    "shard": "one job, one run",
    "video_cache": "a path of the server",
    "video_cache_mb": "the owner's memory",
    "ray": "other machines",
    "replicas": "other machines; num_gpus says how many workers",
    "gpus_per_replica": "other machines",
}


@pytest.fixture(scope="module")
def tasks():
    return index_tasks([catalog.folder("benchmarks")])


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "checkpoints").mkdir()
    return Policy(output_roots=(tmp_path / "results",), path_roots=(tmp_path / "checkpoints",))


@pytest.fixture
def planned(tasks, policy):
    def make(environ=None, policy=policy, **fields):
        request = EvaluateRequest(**{"model": "dummy", "tasks": ["mme"], **fields})
        return plan(request, policy, tasks, environ or {})

    return make


def test_every_option_is_a_jobs_business_or_has_a_reason_why_not():
    names = {o.name for o in OPTIONS}
    assert not SETTINGS & NOT_A_JOBS_BUSINESS.keys()
    undecided = names - SETTINGS - NOT_A_JOBS_BUSINESS.keys() - THROUGH_FIELDS
    assert not undecided, f"may a job set these? say so in policy.SETTINGS, or here why not: {undecided}"
    assert SETTINGS - names == {"gates"}


def test_a_request_becomes_a_config_file(planned):
    found = planned(model_args={"response": "B"}, limit=4, gen_kwargs="max_new_tokens=8", settings={"data": "mini"})
    assert found.values == {
        "model": "dummy", "model_args": {"response": "B"}, "tasks": ["mme"], "limit": 4,
        "gen_kwargs": {"max_new_tokens": 8}, "data": "mini",
    }  # fmt: skip
    assert found.output_dir is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "dumy"}, "did you mean"),
        ({"tasks": ["mm"]}, "mm"),
        ({"tasks": ["../../etc"]}, "is no name of a task"),
        ({"tasks": ["/etc/passwd.yaml"]}, "is no name of a task"),
        ({"tasks": ["-p"]}, "is no name of a task"),
        ({"settings": {"task_paths": "/"}}, "may not set"),
        ({"settings": {"fail_undr": "x"}}, "did you mean fail_under"),
        ({"settings": {"max_tokens": "many"}}, "max_tokens"),
        ({"settings": {"baseline": "../../elsewhere"}}, "not allowed"),
        ({"settings": {"baseline": "s3://bucket/run"}}, "not allowed"),
        ({"settings": {"baseline": "last:../x"}}, "no name of a baseline"),
        ({"env": {"LD_PRELOAD": "/tmp/x.so"}}, "may not use the variable"),
        ({"env": {"PYTHONPATH": "/tmp"}}, "--allow-env PYTHONPATH"),
        ({"model_args": {"x": "${HOME}"}}, "may not use the variable"),
        ({"model_args": {"pretrained": "/etc"}}, "--path-root"),
        ({"model_args": {"pretrained": "~/models"}}, "--path-root"),
        ({"model_args": {"pretrained": "a/../../b"}}, "--path-root"),
        ({"model_args": {"pretrained": "..\\b"}}, "--path-root"),
        ({"model_args": {"deep": {"er": ["/etc"]}}}, "--path-root"),
        ({"model_args": {"pretrained": "${HF_TOKEN:-/etc}"}}, "--path-root"),
        ({"model_args": {"base_url": "http://example.org/v1"}}, "--allow-url"),
        ({"model_args": {"base_url": "http://127.0.0.1@example.org/v1"}}, "--allow-url"),
        ({"model_args": {"base_url": "file:///etc/passwd"}}, "--allow-url"),
        ({"model_args": {"trust_remote_code": True}}, "--allow-remote-code"),
        ({"model_args": {"trust_remote_code": "yes"}}, "--allow-remote-code"),
        ({"model_args": {"model_kwargs": [{"trust_remote_code": True}]}}, "--allow-remote-code"),
        ({"model_args": {"mcp_server_path": "server.py"}}, "--allow-remote-code"),
        ({"settings": {"judge": "huggingface:/etc"}}, "--path-root"),
        ({"settings": {"judge": "dummy, huggingface:../../elsewhere"}}, "--path-root"),
        ({"settings": {"judge": "openai:http://example.org/v1"}}, "--allow-url"),
        ({"settings": {"judge": "dumy"}}, "did you mean"),
        ({"output_dir": "/etc"}, "--output-root"),
        ({"output_dir": "\0"}, "no path"),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_way_to_allow_it(planned, fields, said):
    with pytest.raises(LmmsError) as caught:
        planned(**fields)
    assert said in str(caught.value)


def test_links_out_of_a_root_are_followed_before_the_path_is_judged(planned, policy, tmp_path):
    (tmp_path / "checkpoints" / "out").symlink_to("/etc")
    with pytest.raises(LmmsError, match="not allowed"):
        planned(model_args={"pretrained": str(tmp_path / "checkpoints" / "out")})
    allowed = str(tmp_path / "checkpoints" / "step_1")
    assert planned(model_args={"pretrained": allowed}).values["model_args"] == {"pretrained": allowed}


def test_a_relative_path_is_that_of_the_owners_folder_and_not_of_the_jobs(planned, tmp_path):
    (tmp_path / "checkpoints" / "run" / "500").mkdir(parents=True)
    arguments = {"pretrained": "run/500", "deep": ["run/501", "Qwen/Qwen2.5-VL-3B-Instruct"], "response": "run"}
    assert planned(model_args=arguments).values["model_args"] == {
        **arguments, "pretrained": str(tmp_path / "checkpoints" / "run" / "500"),
    }  # fmt: skip
    baseline = tmp_path / "results" / "main"
    assert planned(settings={"baseline": f"{tmp_path}/checkpoints/../results/main"}).values["baseline"] == str(baseline)


def test_only_offered_models_can_be_named_by_any_of_their_names(planned, policy):
    narrow = Policy(output_roots=policy.output_roots, models=frozenset({"qwen2_5_vl"}))
    assert planned(policy=narrow, model="qwen2_5_vl").values["model"] == "qwen2_5_vl"
    with pytest.raises(LmmsError, match="does not offer"):
        planned(policy=narrow, model="dummy")
    with pytest.raises(LmmsError, match="does not offer"):
        planned(policy=narrow, model="qwen2_5_vl", settings={"judge": "dummy"})
    assert planned(policy=narrow, model="qwen2_5_vl", settings={"judge": "qwen2_5_vl"}).values["judge"] == "qwen2_5_vl"


def test_a_secret_is_replaced_by_a_variable_and_kept_aside(planned):
    found = planned(
        model_args={"api_key": "sk-1", "headers": {"X-Token": "t-2"}}, env={"OPENAI_API_KEY": "sk-3"}, model="openai"
    )
    written = json.dumps([found.values, found.env, found.request])
    assert not any(secret in written for secret in ("sk-1", "t-2", "sk-3"))
    assert found.values["model_args"]["api_key"] == "${API_KEY}"
    assert found.secrets["API_KEY"] == "sk-1"
    assert set(found.secrets.values()) == {"sk-1", "t-2", "sk-3"}
    assert "sk-1" not in repr(found)


def test_two_secrets_of_one_name_stay_two(planned):
    found = planned(model_args={"a": {"api_key": "one"}, "b": {"api_key": "two"}})
    names = [found.values["model_args"][part]["api_key"] for part in "ab"]
    assert len(set(names)) == 2
    assert sorted(found.secrets.values()) == ["one", "two"]


def test_a_variable_that_the_owner_allows_is_passed_on_unfilled(planned):
    found = planned(environ={"OPENAI_API_KEY": "sk"}, model="openai", model_args={"api_key": "${OPENAI_API_KEY}"})
    assert found.values["model_args"]["api_key"] == "${OPENAI_API_KEY}"
    assert not found.secrets


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("example.org", False), ("", False)],
)
def test_loopback_is_told_from_other_hosts(host, is_here):
    assert is_loopback(host) is is_here
