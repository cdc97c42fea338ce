"""Recorded verdicts, replayed by a judge on a loopback server, for benchmarks whose answers need reading."""

from __future__ import annotations

import json

import pytest

from tests.chat_server import Server

RIGHT, WRONG = ({"reason": "r", "is_right": said} for said in (True, False))


@pytest.fixture
def judge(monkeypatch):
    """A judge; `verdicts` holds (words of the response, verdict or a function of judge and prompt to one) pairs."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    server = Server()

    def reply(body):
        asked = body["messages"][-1]["content"]
        text = asked if isinstance(asked, str) else json.dumps(asked)
        verdict = next(verdict for words, verdict in server.verdicts if words in text)
        return json.dumps(verdict(body["model"], text) if callable(verdict) else verdict)

    server.text = reply
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture
def judged(run, judge, results_of, tmp_path):
    """Run a task with answers and verdicts; its results."""

    def judged(task, answers, verdicts, *arguments):
        judge.verdicts = verdicts
        said = {f"{task}[{n}]": text for n, text in enumerate(answers)}
        (tmp_path / "said.json").write_text(json.dumps(said))
        done = run(
            f"--lmms-tasks={task}", f"--lmms-limit={len(answers)}", f"--lmms-model-args=file={tmp_path / 'said.json'}",
            "--lmms-judge=openai:judge", f"--lmms-judge-args=base_url={judge.url}", *arguments, model="scripted",
        )  # fmt: skip
        assert done.ret == 0
        return results_of()["results"][task]

    return judged


def test_hallusion_bench_counts_answers_whose_reasons_agree(judged, judge):
    answers = ["No, it is shorter.", "No, since it is red.", "Yes it is.", "Who knows."]
    verdicts = [
        (text, {"reason": "r", "verdict": verdict})
        for text, verdict in zip(answers, ["correct", "incorrect", "incorrect", "unclear"], strict=True)
    ]
    found = judged("hallusion_bench_image", answers, verdicts)
    assert found["aAcc,none"] == 25.0
    assert found["yes_no_aAcc,none"] == 25.0
    assert "Line 0 is not longer." in json.dumps([body for _, _, body in judge.requests])


def test_hallusion_bench_takes_an_unclear_answer_for_right_only_where_no_figure_is_shown(judged):
    found = judged("hallusion_bench_image", ["I cannot see it."] * 6, [("", {"reason": "r", "verdict": "unclear"})])
    with_figure, without = found["aAcc,none,sub_scores"]["VD"], found["aAcc,none,sub_scores"]["VS"]
    assert with_figure == 0.0
    assert without == 50.0


@pytest.mark.parametrize(
    ("task", "metric", "rules"),
    [
        ("charxiv_val_descriptive", "descriptive_acc", "descriptive_rule_acc"),
        ("charxiv_val_reasoning", "reasoning_acc", "reasoning_rule_acc"),
        ("mathvision_testmini", "llm_as_judge_eval", "mathvision_standard_eval"),
    ],
)
def test_answers_in_other_words_are_right_by_a_judge_alone(judged, judge, task, metric, rules):
    answers = ["in other words: the first", "something else"]
    verdicts = [("the first", {**RIGHT, "final_answer": "x"}), ("something else", {**WRONG, "final_answer": "y"})]
    found = judged(task, answers, verdicts)
    assert found[f"{metric},none"] in (0.5, 50.0)
    assert found[f"{rules},none"] == 0.0
    prompts = [json.dumps(body["messages"]) for _, _, body in judge.requests]
    assert all("Gold answer: " in text for text in prompts)


def test_mathvista_asks_the_judge_for_what_rules_do_not_find(judged, judge, records_of):
    answers = ["145°", "So there are a thousand left.", "It costs something.", "maybe 7 or 8"]
    verdicts = [("thousand", {"answer": "1000"}), ("costs something", {"answer": ""}), ("7 or 8", {"answer": ""})]
    found = judged("mathvista_testmini_cot", answers, verdicts)
    assert found["llm_as_judge_eval,none"] == 50.0
    assert len(judge.requests) == 3
    records = records_of("mathvista_testmini_cot")
    assert [r["status"] for r in records] == ["scored"] * 4
    assert "verdicts" not in records[0]
    assert records[1]["verdicts"][0]["rubric"] == "mathvista@1"
    assert records[2]["llm_as_judge_eval"]["prediction"] is None


def test_a_judge_that_finds_no_choice_picks_none(judged):
    found = judged("mathvista_testmini_cot", ["None of these fits."], [("", {"answer": ""})])
    assert found["llm_as_judge_eval,none"] == 0.0


def test_mmbench_asks_the_judge_for_the_letter_that_rules_do_not_find(judged, judge):
    answers = ["A", "The gas giant that is not ringed", "neither of them"]
    verdicts = [("gas giant", {"option": "B"}), ("neither", {"option": "none"})]
    found = judged("mmbench_en_dev", answers, verdicts)
    assert found["gpt_eval_score,none"] == pytest.approx(200 / 3)
    assert len(judge.requests) == 2


def test_worldvqa_has_a_rubric_for_each_of_its_kinds(judged, judge, records_of):
    verdicts = [("slides along", {"option": "A"}), ("no idea", {"option": "none"})]
    found = judged("worldvqa_mc", ["A", "It slides along the floor", "no idea"], verdicts)
    (metric,) = [name for name in found if name.startswith("gpt_eval,")]
    assert found[metric] == pytest.approx(2 / 3)
    assert len(judge.requests) == 2
    assert records_of("worldvqa_mc")[1]["verdicts"][0]["rubric"] == "worldvqa/rubric_mc@1"


def test_several_judges_vote_on_what_they_extract(judged, judge, records_of):
    judges = ["--lmms-judge=openai:a,openai:b,openai:c"]
    verdicts = [
        ("in the shade", {"answer": "45°"}),
        ("many left", lambda model, _: {"answer": "7" if model == "b" else "1000"}),
    ]
    found = judged("mathvista_testmini_cot", ["It is in the shade.", "So there are many left."], verdicts, *judges)
    assert found["llm_as_judge_eval,none"] == 50.0
    record = records_of("mathvista_testmini_cot")[1]
    assert sorted(v["verdict"]["answer"] for v in record["verdicts"]) == ["1000", "1000", "7"]
    assert record["llm_as_judge_eval"]["extraction"] == "1000"


def test_judges_that_say_as_often_one_thing_as_another_give_no_score(run, judge, records_of):
    judge.verdicts = [("", lambda model, _: RIGHT if model == "a" else WRONG)]
    judges = ["--lmms-judge=openai:a,openai:b", f"--lmms-judge-args=base_url={judge.url}"]
    assert run("--lmms-tasks=mathverse_testmini", "--lmms-limit=1", *judges).ret == 1
    (record,) = records_of("mathverse_testmini")
    assert record["status"] == "error"
    assert "an odd number of judges" in record["error"]


def test_a_judge_that_favours_whoever_comes_first_favours_nobody(judged, judge, records_of):
    def favours_the_first(_model, _text):
        return {"reason": "r", "first_score": 9, "second_score": 3}

    found = judged("llava_in_the_wild", ["The answer of this test."], [("", favours_the_first)])
    assert found["gpt_eval_llava_all,none"] == pytest.approx(100.0)
    prompts = [body["messages"][-1]["content"] for _, _, body in judge.requests]
    assert len(prompts) == 2
    ours_first = ["The answer of this test." in text.partition("<second>")[0] for text in prompts]
    assert sorted(ours_first) == [False, True]
    assert sorted(v["order"] for v in records_of("llava_in_the_wild")[0]["verdicts"]) == [0, 1]


def test_a_preference_for_an_answer_outlasts_the_change_of_places(judged):
    def favours_ours(_model, text):
        is_first = "The answer of this test." in text.partition("<second>")[0]
        return {"reason": "r", "first_score": 8 if is_first else 4, "second_score": 4 if is_first else 8}

    found = judged("llava_in_the_wild", ["The answer of this test."], [("", favours_ours)])
    assert found["gpt_eval_llava_all,none"] == pytest.approx(200.0)


def test_a_finished_run_is_judged_again_by_other_judges_without_asking_its_model(
    run, judged, judge, run_folder, results_of
):
    judged("mathvista_testmini_cot", ["So there are a thousand left."], [("", {"answer": "7"})])
    first = run_folder()
    judge.requests.clear()
    judge.verdicts = [("", {"answer": "145\u00b0"})]
    done = run(
        "--lmms-tasks=mathvista_testmini_cot", "--lmms-limit=1", f"--lmms-model-args=logs={first}",
        "--lmms-judge=openai:other", f"--lmms-judge-args=base_url={judge.url}", model="from_log",
    )  # fmt: skip
    assert done.ret == 0
    assert results_of()["results"]["mathvista_testmini_cot"]["llm_as_judge_eval,none"] == 100.0
    assert [body["model"] for _, _, body in judge.requests] == ["other"]
