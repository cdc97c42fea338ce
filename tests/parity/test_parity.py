"""Our numbers are lmms-eval's; and the runner that says so would notice if they were not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.errors import UsageError

from . import run
from .values import revive

DATA = Path(__file__).parent / "data"
LIBRARIES = {
    "ifeval": ("langdetect", "nltk", "punkt"),
    "ifeval_other_documents": ("langdetect", "nltk", "punkt"),
    "librispeech_test_clean": ("whisper_normalizer",),
    "librispeech_test_other_long": ("whisper_normalizer",),
}
"""What scoring a task needs beyond the core's dependencies."""
RECORDINGS = sorted(DATA.glob("*.jsonl"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.stem)
def test_prompts_scores_and_aggregates_equal_lmms_eval(path: Path) -> None:
    for library in LIBRARIES.get(path.stem, ()):
        pytest.importorskip(library)
    report = run.check_file(path)
    assert not report.mismatches, "\n".join(map(str, report.mismatches))
    assert report.num_documents > 0
    assert report.num_responses > 0


@pytest.fixture
def tampered(tmp_path: Path) -> Callable[[Callable[[list[dict[str, Any]]], None]], Path]:
    """Copy the recording of mme, changed by a function."""

    def tamper(change: Callable[[list[dict[str, Any]]], None]) -> Path:
        lines = [json.loads(line) for line in (DATA / "mme.jsonl").read_text("utf-8").splitlines()]
        change(lines)
        path = tmp_path / "recording.jsonl"
        path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
        return path

    return tamper


def change_prompt(lines: list[dict[str, Any]]) -> None:
    lines[1]["prompt"] = "Is there a bird?"


def change_num_media(lines: list[dict[str, Any]]) -> None:
    lines[1]["num_media"] = 2


def change_target(lines: list[dict[str, Any]]) -> None:
    lines[1]["target"] = "Maybe"


def change_score(lines: list[dict[str, Any]]) -> None:
    lines[1]["responses"][1]["scores"]["mme_perception_score"]["score"] = 0.5


def change_aggregate(lines: list[dict[str, Any]]) -> None:
    lines[0]["aggregated"]["mme_perception_score"] = 449.0


def change_generation(lines: list[dict[str, Any]]) -> None:
    lines[1]["generation_kwargs"]["max_new_tokens"] = 17


def change_readable_to_random(lines: list[dict[str, Any]]) -> None:
    lines[1]["responses"][1] = {"response": "No", "random": True}


@pytest.mark.parametrize(
    "change",
    [
        change_prompt,
        change_num_media,
        change_target,
        change_score,
        change_aggregate,
        change_generation,
        change_readable_to_random,
    ],
)
def test_a_difference_is_printed_with_both_sides_and_exits_1(
    change: Callable[[list[dict[str, Any]]], None],
    tampered: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run.main([str(tampered(change))]) == 1
    printed = capsys.readouterr().out
    assert "theirs:" in printed
    assert "ours:" in printed
    assert "recording.jsonl: task mme, 8 documents" in printed


def changed(task: str, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> run.Report:
    """What comparing another recording gives once its first response is changed."""
    lines = [json.loads(line) for line in (DATA / f"{task}.jsonl").read_text("utf-8").splitlines()]
    change(lines[1]["responses"][0])
    path = tmp_path / "recording.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return run.check_file(path)


def test_a_field_that_items_of_ours_lack_is_a_mismatch_and_one_more_is_none(tmp_path: Path) -> None:
    def change(response: dict[str, Any]) -> None:
        del response["scores"]["aAcc"]["filename"]
        response["scores"]["qAcc"]["colour"] = "red"

    report = changed("hallusion_bench_image", tmp_path, change)
    assert [mismatch.what for mismatch in report.mismatches] == ["scores"]
    assert "'colour': 'red'" in str(report.mismatches[0])


@pytest.mark.parametrize(("number", "mismatches"), [(3, []), (4, []), (5, ["num_media"])])
def test_lmms_eval_may_have_gone_on_without_a_file_and_has_no_more_than_ours(
    tmp_path: Path, number: int, mismatches: list[str]
) -> None:
    lines = [json.loads(line) for line in (DATA / "mmlongbench.jsonl").read_text("utf-8").splitlines()]
    lines = [lines[0] | {"aggregated": {}}, lines[6] | {"num_media": number}]
    path = tmp_path / "recording.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    report = run.check_file(path)
    assert [mismatch.what for mismatch in report.mismatches] == mismatches
    assert report.not_compared["num_media of a missing file"] == (not mismatches and number < 4)


def test_another_prompt_of_a_later_step_is_a_mismatch(tmp_path: Path) -> None:
    report = changed("tau2_bench_telecom", tmp_path, lambda response: response["prompts"].__setitem__(2, "Go on."))
    assert [mismatch.what for mismatch in report.mismatches] == ["prompts"]


def test_another_verdict_of_a_judge_is_a_mismatch(tmp_path: Path) -> None:
    report = changed("song_describer_validation", tmp_path, lambda response: response.update(judge_reply="Rating: 2"))
    assert {mismatch.what for mismatch in report.mismatches} >= {"scores", "aggregated eval_score"}


def test_another_score_from_a_judge_that_was_off_is_a_mismatch(tmp_path: Path) -> None:
    report = changed("browsecomp", tmp_path, lambda response: response["scores"]["browsecomp_acc"].update(correct=0.0))
    assert [mismatch.what for mismatch in report.mismatches] == ["scores"]


def test_a_payload_that_the_model_wrote_is_not_compared(tmp_path: Path) -> None:
    report = changed(
        "vending_bench2", tmp_path, lambda response: response.update(final_response=response["response"][-1])
    )
    assert report.not_compared["a payload that the model itself wrote"] == 9
    assert not report.mismatches


def test_equal_files_exit_0_with_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    some = [str(DATA / f"{task}.jsonl") for task in ("mme", "mmmu_val", "tau2_bench_telecom")]
    assert run.main(some) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(some)


def test_a_recording_of_an_unknown_task_says_which_tasks_there_are(tampered: Any) -> None:
    with pytest.raises(UsageError, match=r"no benchmark has a task 'mmf'[\s\S]*did you mean: mme\?"):
        run.check_file(tampered(lambda lines: lines[0].update(task="mmf")))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "holds no JSON objects"),
        ("[1]\n", "holds no JSON objects"),
        ("task: mme\n", "not JSON Lines"),
        ('{"dataset_path": "x"}\n', "the first line is no header"),
        ('{"task": "mme", "aggregated": {}}\n{"question": "?"}\n', "no document"),
    ],
)
def test_a_file_that_is_no_recording_exits_2_and_says_why(
    content: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mme.yaml"
    path.write_text(content, encoding="utf-8")
    assert run.main([str(path)]) == 2
    assert complaint in capsys.readouterr().out


def test_a_missing_file_does_not_keep_the_others_from_being_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run.main(["nowhere.jsonl", str(DATA / "mme.jsonl")]) == 2
    printed = capsys.readouterr().out
    assert "nowhere.jsonl: cannot read" in printed
    assert "task mme, 8 documents" in printed


def test_stand_ins_become_media_and_numbers() -> None:
    row = revive(
        {
            "image": {"$image": [8, 6, 1]},
            "sound": [{"$audio": [0.5, 8000, 2]}],
            "x": {"$float": "-inf"},
        }
    )
    assert row["image"].size == (8, 6)
    assert row["sound"][0]["array"].shape == (4000,)
    assert row["sound"][0]["array"].dtype == "float32"
    assert row["x"] == float("-inf")


FILTERED_TASK = r"""
task: sums
dataset_path: json
test_split: test
doc_to_text: "{{question}}"
doc_to_target: answer
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
filter_list:
  - name: strict
    filter: [{function: regex, regex_pattern: 'is (\d+)'}, {function: take_first}]
  - name: loose
    filter: [{function: regex, regex_pattern: '(\d+)'}, {function: take_first}]
"""


def test_scores_and_aggregates_by_filter_are_compared_by_filter(tmp_path: Path) -> None:
    (tmp_path / "sums.yaml").write_text(FILTERED_TASK, encoding="utf-8")
    scores = {"strict": {"exact_match": 0.0}, "loose": {"exact_match": 1.0}}
    aggregated = {"exact_match,strict": 0.0, "exact_match,loose": 1.0}
    lines: list[dict[str, Any]] = [
        {"task": "sums", "aggregated": aggregated},
        {
            "doc": {"question": "1 + 1?", "answer": "2"},
            "prompt": "1 + 1?",
            "responses": [{"response": "2 of course", "scores": scores}],
        },
    ]
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    assert not run.check_file(path, benchmarks=tmp_path).mismatches
    aggregated["exact_match,loose"] = 0.5
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    [mismatch] = run.check_file(path, benchmarks=tmp_path).mismatches
    assert mismatch.what == "aggregated exact_match,loose"
