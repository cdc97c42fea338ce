"""`--lmms-judge`: real runs of judged tasks, with judges on a loopback server and in this process."""

from __future__ import annotations

import json

import pytest

from tests.chat_server import Server

VERDICT = {"reason": "because", "is_right": True, "score": 0.75, "first_score": 5, "second_score": 8, "pred": "yes",
           "verdict": "correct", "rating": 3}  # fmt: skip


@pytest.fixture
def server():
    found = Server()
    found.text = json.dumps(VERDICT)
    yield found
    found.httpd.shutdown()
    found.httpd.server_close()


@pytest.fixture
def run(pytester, run, monkeypatch, tmp_path):
    """Call it with a task and arguments: exit code, output, results and records."""
    run_pytest = run
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    def call(task, *arguments, env=None):
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        named = any(a.startswith("--lmms-model") for a in arguments)
        done = run_pytest(
            f"--lmms-tasks={task}", f"--lmms-output-path={tmp_path / 'results'}", "--no-lmms-report", *arguments,
            model=None if named else "dummy",
        )  # fmt: skip
        output = done.stdout.str() + done.stderr.str()
        folders = sorted((tmp_path / "results").glob("*/results.json"), key=lambda p: p.stat().st_mtime_ns)
        if not folders:
            return done.ret, output, None, []
        folder = folders[-1].parent
        records = [json.loads(x) for p in folder.glob("samples_*.jsonl") for x in p.read_text().splitlines()]
        return done.ret, output, json.loads(folders[-1].read_text())["results"], records

    return call


def judged_by(server, model="gpt"):
    return [f"--lmms-judge=openai:{model}", f"--lmms-judge-args=base_url={server.url}"]


def test_a_judge_gives_its_metric_beside_that_of_the_rules(run, server):
    code, output, results, records = run("mmvet", *judged_by(server))
    assert code == 0, output
    assert results["mmvet"]["gpt_eval_score,none"] == 75.0
    assert results["mmvet"]["keyword_score,none"] == 0.0
    (verdict,) = records[0]["verdicts"]
    assert verdict["judge"] == "openai:gpt"
    assert verdict["rubric"] == "mmvet@1"
    assert verdict["verdict"] == {"reason": "because", "score": 0.75}
    assert (verdict["input_tokens"], verdict["output_tokens"]) == (11, 4)


def test_the_judge_is_told_the_schema_and_sees_question_gold_and_answer(run, server):
    run("mmvet", *judged_by(server))
    _, _, body = server.requests[0]
    assert body["response_format"]["json_schema"]["schema"]["properties"]["score"]["maximum"] == 1
    text = json.dumps([body["messages"] for _, _, body in server.requests])
    assert "circle<OR>disc" in text
    assert "<given>" in text


@pytest.mark.parametrize(
    "task", ["mathverse_testmini", "llava_in_the_wild", "activitynetqa", "worldvqa_gen", "browsecomp",
             "song_describer_train", "air_bench_chat_sound"],
)  # fmt: skip
def test_every_judged_benchmark_is_judged(run, task):
    said = "response='" + json.dumps({**VERDICT, "score": 1}) + "'"
    code, output, results, records = run(task, "--lmms-judge=dummy", f"--lmms-judge-args={said}")
    assert code == 0, output
    assert all(record["verdicts"] for record in records)
    assert any("eval" in k or "acc" in k for k, v in results[task].items() if isinstance(v, float) and v > 0)


def test_without_a_judge_nothing_is_judged(run):
    code, _, results, records = run("mmvet")
    assert code == 0
    assert results["mmvet"].get("gpt_eval_score,none") is None
    assert "verdicts" not in records[0]


@pytest.fixture
def unjudged(tmp_path):
    """Call it for what results.json says of metrics that took a judge."""
    return lambda: json.loads(next((tmp_path / "results").glob("*/results.json")).read_text())["unjudged"]


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        ("browsecomp", "browsecomp_acc"),
        ("hallusion_bench_image", "aAcc, qAcc, fAcc"),
        ("safety_jailbreakbench_benign", "judged_over_refusal_rate, judged_toxicity_score"),
    ],
)
def test_a_run_without_a_judge_says_what_is_not_scored(run, unjudged, task, metrics):
    _, output, _, _ = run(task)
    assert f"Not scored without a judge (--lmms-judge): {metrics} of {task}\n" in output
    assert unjudged() == {task: metrics.split(", ")}


@pytest.mark.parametrize("task", ["mathvista_testmini_cot", "mme"])
def test_a_run_whose_metrics_rules_give_lacks_no_judge(run, unjudged, task):
    _, output, _, _ = run(task)
    assert "without a judge" not in output
    assert unjudged() == {}


def test_a_run_with_a_judge_says_nothing_of_lacking_one(run, unjudged, server):
    _, output, _, _ = run("mmvet", *judged_by(server))
    assert "without a judge" not in output
    assert unjudged() == {}


@pytest.mark.parametrize("said", ["It is right.", "", '{"reason": "", "score": 11}', "I'm sorry, I cannot judge this."])
def test_a_reply_that_is_no_verdict_is_an_error_and_never_a_score(run, server, said):
    server.text = said
    code, _, results, records = run("mmvet", *judged_by(server))
    assert code == 1
    assert results["mmvet"].get("gpt_eval_score,none") is None
    assert {r["status"] for r in records} == {"error"}
    assert "3 times" in records[0]["error"]
    assert records[0]["filtered_resps"] == ["A"]


def test_a_judge_that_first_writes_prose_is_asked_again(run, server):
    server.plan = [{"text": "It is half right."}]
    code, _, results, records = run("mmvet", "--lmms-limit=1", *judged_by(server))
    assert code == 0
    assert records[0]["verdicts"][0]["attempts"] == 2
    assert "JSON object alone" in json.dumps(server.requests[-1][2]["messages"])
    assert results["mmvet"]["gpt_eval_score,none"] == 75.0


def test_a_provider_that_refuses_to_judge_is_an_error(run, server):
    server.plan = [{"text": "", "reason": "content_filter"}]
    code, _, _, records = run("mmvet", "--lmms-limit=1", *judged_by(server))
    assert code == 1
    assert "refused" in records[0]["error"]


def test_a_finished_run_is_judged_without_asking_its_model(run, server, tmp_path):
    run("mmvet", "--lmms-model=scripted", "--lmms-model-args=default=a circle")
    (first,) = (tmp_path / "results").iterdir()
    code, output, results, records = run(
        "mmvet", "--lmms-model=from_log", f"--lmms-model-args=logs={first}", *judged_by(server)
    )
    assert code == 0, output
    assert results["mmvet"]["gpt_eval_score,none"] == 75.0
    assert records[0]["filtered_resps"] == ["a circle"]


def test_verdicts_are_kept_like_any_response(run, server, tmp_path):
    server.plan = [{}, {"status": 400, "message": "no"}]
    code, _, _, _ = run("mmvet", *judged_by(server))
    assert code == 1
    asked = len(server.requests)
    (folder,) = (tmp_path / "results").iterdir()
    code, output, _, _ = run("mmvet", *judged_by(server), f"--lmms-retry-errors={folder}")
    assert code == 0, output
    assert len(server.requests) - asked == 1


def test_several_judges_decide_by_majority(run, server):
    server.plan = [{"text": json.dumps({**VERDICT, "is_right": False})}]
    judges = ["--lmms-judge=openai:a,openai:b,openai:c", f"--lmms-judge-args=base_url={server.url}"]
    code, output, results, records = run("mathverse_testmini", "--lmms-limit=1", *judges)
    assert code == 0, output
    assert sorted(v["verdict"]["is_right"] for v in records[0]["verdicts"]) == [False, True, True]
    assert results["mathverse_testmini"]["gpt_eval_score,none"] == 1.0


def test_lmms_evals_variables_name_the_judge(run, server):
    env = {"API_TYPE": "openai", "MODEL_VERSION": "gpt-x", "OPENAI_API_URL": server.url, "OPENAI_API_KEY": "k"}
    code, output, _, records = run("mmvet", "--lmms-judge=env", env=env)
    assert code == 0, output
    assert records[0]["verdicts"][0]["judge"] == "openai:gpt-x"
    assert server.requests[0][2]["model"] == "gpt-x"


def test_azure_is_asked_without_a_version_as_lmms_eval_asks_it(run, server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_VERSION", raising=False)
    address = server.url.removesuffix("/v1")
    env = {"API_TYPE": "azure", "MODEL_VERSION": "gpt-x", "AZURE_ENDPOINT": address, "AZURE_API_KEY": "k"}
    code, output, _, _ = run("mmvet", "--lmms-judge=env", env=env)
    assert code == 0, output
    assert server.requests[0][0].endswith("api-version=2024-02-15-preview")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lmms-judge=opnai:x"], "openai"), (["--lmms-judge="], "no judge is named"),
        (["--lmms-judge=dummy", "--lmms-judge-args=respnse=1"], "no judge has the argument"),
        (["--lmms-judge=env"], "MODEL_VERSION"),
    ],
)  # fmt: skip
def test_a_wrong_judge_is_told_before_anything_runs(run, arguments, said, monkeypatch):
    for name in ("API_TYPE", "MODEL_VERSION", "JUDGE_MODEL_VERSION"):
        monkeypatch.delenv(name, raising=False)
    code, output, results, _ = run("mmvet", *arguments)
    assert code == 4
    assert said in output
    assert results is None
