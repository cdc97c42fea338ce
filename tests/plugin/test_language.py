"""Few-shot examples, system instruction, repeats, rounds and what tasks are warned of, end to end."""

from __future__ import annotations

import pytest
from run_helpers import lab  # noqa: F401

ROWS = [{"question": f"q{i}", "answer": "A"} for i in range(4)]


def test_examples_stand_before_the_question(write_task, run, records_of, results_of, pytester):
    write_task(pytester.path / "bench", "toy", ROWS, num_fewshot=2, fewshot_config={"sampler": "first_n"})
    assert run("bench").ret == 0
    assert [r["input"] for r in records_of("toy")] == [
        "q1 A\n\nq2 A\n\nq0",
        "q0 A\n\nq2 A\n\nq1",
        "q0 A\n\nq1 A\n\nq2",
        "q0 A\n\nq1 A\n\nq3",
    ]
    assert results_of()["n-shot"] == {"toy": 2}


def test_the_command_line_sets_the_number_of_examples_but_not_of_a_task_that_says_none(
    write_task, run, results_of, pytester
):
    write_task(pytester.path / "bench", "toy", ROWS)
    write_task(pytester.path / "bench", "bare", ROWS, num_fewshot=0)
    assert run("bench", "--lmms-num-fewshot", "1").ret == 0
    assert results_of()["n-shot"] == {"toy": 1, "bare": 0}


def test_more_examples_than_documents_are_refused_before_anything_is_asked(write_task, run, pytester):
    write_task(pytester.path / "bench", "toy", ROWS, num_fewshot=9)
    outcome = run("bench")
    assert outcome.ret != 0
    outcome.stdout.fnmatch_lines(["*9 few-shot examples are wanted, and there are 3*"])


def test_limits_change_no_examples(write_task, run, records_of, pytester):
    write_task(pytester.path / "bench", "toy", 20, num_fewshot=3)
    assert run("bench").ret == 0
    inputs = {r["doc_id"]: r["input"] for r in records_of("toy")}
    assert run("bench", "--lmms-limit", "3", "--lmms-offset", "7").ret == 0
    assert {r["doc_id"]: r["input"] for r in records_of("toy")} == {i: inputs[i] for i in (7, 8, 9)}
    assert len(set(inputs.values())) == 20


def test_repeats_give_figures_of_stability(write_task, run, records_of, results_of, pytester):
    write_task(pytester.path / "bench", "toy", ROWS[:2])
    (pytester.path / "answers.json").write_text('{"toy[0]": ["A", "B", "A", "A"], "toy[1]": ["B", "B", "B", "A"]}')
    arguments = ("--lmms-model-args", "file=answers.json", "--lmms-repeats", "4")
    assert run("bench", *arguments, model="scripted").ret == 0
    found = results_of()["results"]["toy"]
    assert found["exact_match,none"] == 0.5  # the first answer counts
    assert found["exact_match_expected_accuracy,none"] == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert found["exact_match_consensus_accuracy,none"] == 0.5
    assert found["exact_match_pass@2,none"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["exact_match_pass@4,none"] == 1.0
    assert records_of("toy")[0]["resps"] == ["A", "B", "A", "A"]


ROUNDS = """
def ask(doc, previous_output=None, round_idx=None, previous_round_info=None, lmms_eval_specific_kwargs=None):
    if round_idx is None:
        return doc["question"]
    done = round_idx >= 3
    return [], None if done else f"and {previous_output[-1]}?", done, previous_output, {"round": round_idx}

def score(doc, results):
    return {"exact_match": len(results[0])}
"""


def test_a_document_of_several_rounds_is_asked_until_its_callback_ends_it(write_task, run, records_of, pytester):
    write_task(
        pytester.path / "bench", "toy", ROWS[:1], code=ROUNDS, output_type="generate_until_multi_round",
        doc_to_text="!function utils.ask", process_results="!function utils.score",
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    )  # fmt: skip
    assert run("bench", "--lmms-model-args", "response=x").ret == 0
    (record,) = records_of("toy")
    assert record["status"] == "scored", record
    assert [r["input"] for r in record["rounds"][0]] == ["q0", "and x?", "and x?"]
    assert [r["output"] for r in record["rounds"][0]] == ["x", "x", "x"]
    assert record.get("resps", record["filtered_resps"]) == [["x", "x", "x"]]


def test_a_system_instruction_reaches_the_model(write_task, run, pytester):
    write_task(pytester.path / "bench", "toy", ROWS[:1])
    pytester.makeconftest(
        """
        import pytest
        from pytest_lmms.records import Response

        class Model:
            def generate(self, requests):
                print([(m.role, m.content) for m in requests[0].messages])
                assert requests[0].messages[0].role == "system", requests[0].messages
                return [Response(text="A") for _ in requests]

        @pytest.fixture(scope="session")
        def lmms_model():
            return Model()
        """
    )
    assert run("bench", "--lmms-system-instruction", "Be brief.").ret == 0
    assert run("bench").ret == 1


FULL = """
import json, os

def score(doc, results, full_docs):
    assert len(full_docs) == 4, len(full_docs)
    return {"rank": sorted(d["question"] for d in full_docs).index(doc["question"])}

def submit(items, args):
    folder = os.path.join(args.output_path, "submissions")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "toy.json"), "w") as file:
        json.dump(items, file)
    return sum(items)
"""


def test_scoring_may_see_all_documents_and_submissions_lie_in_the_run_folder(
    write_task, run, run_folder, results_of, pytester
):
    metric = {"metric": "rank", "aggregation": "!function utils.submit", "higher_is_better": True}
    write_task(
        pytester.path / "bench", "toy", ROWS, code=FULL, full_docs=True, process_results="!function utils.score",
        metric_list=[metric],
    )  # fmt: skip
    assert run("bench").ret == 0
    assert results_of()["results"]["toy"]["rank,none"] == 6
    assert (run_folder() / "submissions" / "toy.json").read_text() == "[0, 1, 2, 3]"


REMOTE = """
from pytest_lmms.records import Response

class Remote:
    is_remote = True

    def generate(self, requests):
        return [Response(text="A") for _ in requests]
"""
REGISTERS = """
def pytest_lmms_register_models(register):
    register("remote", "remote_model:Remote")
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_task_without_messages_is_warned_of_once_on_an_api(lab, workers):  # noqa: F811
    code = "import PIL.Image\n\ndef visual(doc):\n    return [PIL.Image.new('RGB', (4, 4))]\n"
    lab.task(ROWS, name="flat", doc_to_visual="!function utils.visual", code=code)
    lab.task(ROWS, name="text_only")
    (lab.path / "remote_model.py").write_text(REMOTE)
    (lab.path / "conftest.py").write_text(REGISTERS)
    run = lab.run("--lmms-model", "remote", *workers)
    assert run.code == 0, run
    assert run.output.count("DeprecationWarning: task flat gives a chat API doc_to_visual and doc_to_text") == 1, run
    assert "task text_only" not in run.output
    assert "DeprecationWarning" not in lab.run("--lmms-model", "dummy").output
