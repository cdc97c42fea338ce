"""Runs that are cut short: what is done is saved, and going on asks nothing twice."""

from __future__ import annotations

import json
import os
import signal

import pytest
from run_helpers import lab, timeless  # noqa: F401

from pytest_lmms.plugin import session

IN_PROCESS: tuple[str, ...] = ()
TWO_WORKERS = ("-n", "2")
BOTH = pytest.mark.parametrize("workers", [IN_PROCESS, TWO_WORKERS], ids=["in process", "two workers"])


@BOTH
def test_stopping_at_the_first_errored_document_is_a_failure_not_an_interruption(lab, workers):  # noqa: F811
    lab.task(400)
    lab.plan(raises=[3], seconds=0.05)
    run = lab.run("-x", *workers)
    assert run.code == 1, run
    assert sum(lab.asked().values()) < 300
    assert lab.status == "interrupted"
    assert not lab.results["complete"]
    assert "stopping after 1 failures" in lab.results["incomplete_because"]


def test_two_failures_are_allowed_when_the_user_says_so(lab):  # noqa: F811
    lab.task(100)
    lab.plan(raises=[2, 3], seconds=0.01)
    run = lab.run("--maxfail", "2", *TWO_WORKERS)
    assert run.code == 1, run
    assert lab.results["counts"]["n_error"] == 2
    assert sum(lab.asked().values()) < 100


def interrupt(lab, number, *arguments, group=False, after=8):  # noqa: F811
    """Run, and send a signal when the model has been asked a few times."""
    process = lab.start(*arguments)
    lab.wait_until_asked(after)
    (os.killpg if group else os.kill)(process.pid, number)
    return lab.finish(process)


@pytest.mark.parametrize(
    ("number", "group", "workers"),
    [
        (signal.SIGINT, False, IN_PROCESS),
        (signal.SIGTERM, False, IN_PROCESS),
        (signal.SIGINT, True, TWO_WORKERS),
        (signal.SIGINT, False, TWO_WORKERS),
        (signal.SIGTERM, False, TWO_WORKERS),
        (signal.SIGTERM, True, TWO_WORKERS),
    ],
)
def test_an_interrupted_run_is_saved_and_goes_on_without_asking_twice(lab, number, group, workers):  # noqa: F811
    lab.task(60)
    lab.plan(seconds=0.05)
    run = interrupt(lab, number, *workers, group=group)
    assert run.code == 2, run
    results = lab.results
    assert results["complete"] is False
    assert results["status"] == lab.status == "interrupted"
    assert ("SIGINT" if number == signal.SIGINT else "SIGTERM") in results["incomplete_because"]
    # What was asked was answered, and what was answered is a record.
    assert results["counts"]["n_scored"] == sum(lab.asked().values()) < 60
    assert len(lab.records()) == results["counts"]["n_scored"]
    assert "replacing crashed worker" not in run.output
    lab.plan()
    run = lab.run("--lmms-resume")
    assert run.code == 0, run
    assert lab.asked() == dict.fromkeys(range(60), 1)
    assert len(list(lab.path.glob("results/*"))) == 1
    assert lab.results["complete"]


@BOTH
def test_a_killed_run_goes_on_and_equals_an_undisturbed_one(lab, workers):  # noqa: F811
    lab.task(30)
    assert lab.run().code == 0
    undisturbed, records = lab.results, lab.records()
    lab.run_path.rename(lab.path / "undisturbed")
    lab.forget()
    lab.plan(seconds=0.05)
    assert interrupt(lab, signal.SIGKILL, *workers, group=True).code == -signal.SIGKILL
    assert not (lab.run_path / "results.json").exists()
    in_flight = 2 if workers else 1
    lab.plan()
    run = lab.run("--lmms-resume", *workers)
    assert run.code == 0, run
    twice = [i for i, n in lab.asked().items() if n > 1]
    assert len(twice) <= in_flight
    assert max(lab.asked().values()) <= 2
    assert timeless(lab.results) == timeless(undisturbed)
    assert timeless(lab.records()) == timeless(records)


def test_going_on_with_the_run_of_another_command_is_a_usage_error_that_says_which(lab):  # noqa: F811
    lab.task(3)
    lab.run()
    run = lab.run("--lmms-resume", str(lab.run_path), "--lmms-batch-size", "2")
    assert run.code == 4, run
    assert "that run was made by another command" in run.output
    assert "INTERNALERROR" not in run.output
    assert len(lab.records()) == 3


def test_a_run_folder_that_is_none_is_a_usage_error(lab):  # noqa: F811
    lab.task(3)
    run = lab.run("--lmms-resume=nowhere")
    assert run.code == 4, run
    assert "run.json is missing" in run.output


def test_nothing_to_resume_is_told_and_the_run_begins(lab):  # noqa: F811
    lab.task(3)
    run = lab.run("--lmms-resume")
    assert run.code == 0, run
    assert "nothing to resume" in run.output


def test_a_run_that_still_goes_on_cannot_be_resumed(lab):  # noqa: F811
    lab.task(3)
    lab.run()
    path = lab.run_path / "run.json"
    info = json.loads(path.read_text())
    info["status"] = "running"
    info["process"][1:] = session._process(is_worker=False)[1:]
    path.write_text(json.dumps(info))
    run = lab.run("--lmms-resume")
    assert run.code == 4, run
    assert "still going on" in run.output
    info["process"][2] -= 1  # of another process, whose number this one was given
    path.write_text(json.dumps(info))
    assert lab.run("--lmms-resume").code == 0


def test_only_errored_documents_are_asked_again(lab):  # noqa: F811
    lab.task(20)
    lab.plan(raises=[4, 9])
    assert lab.run().code == 1
    lab.forget()
    lab.plan()
    run = lab.run("--lmms-retry-errors")
    assert run.code == 0, run
    assert sorted(lab.asked()) == [4, 9]
    assert lab.results["counts"]["n_scored"] == 20
    assert [r["doc_id"] for r in lab.records()] == list(range(20))


def test_a_model_that_never_answers_makes_errors_and_no_hanging_session(lab):  # noqa: F811
    lab.task(6)
    lab.plan(hangs=[2])
    run = lab.run("--lmms-timeout", "8", timeout=90)
    assert run.code == 1, run
    assert "no response within 8" in run.output
    by_id = {r["doc_id"]: r for r in lab.records()}
    assert "no response within 8" in by_id[2]["error"]
    assert lab.results["counts"]["n_error"] >= 1


def test_a_session_without_documents_keeps_its_own_sigterm(lab):  # noqa: F811
    lab.task(1)
    (lab.path / "test_plain.py").write_text(
        "import os, signal\ndef test_it():\n    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
    )
    process = lab.start("-p", "no:cacheprovider", "--rootdir=.", "bench", "test_plain.py", "-k", "test_it")
    assert lab.finish(process).code == 0


@BOTH
def test_a_run_ends_when_its_time_is_up_and_goes_on_without_asking_twice(lab, workers):  # noqa: F811
    lab.task(400)
    lab.plan(seconds=0.2)
    run = lab.run("--lmms-time-limit", "9", *workers)
    assert run.code == 2, run
    assert "--lmms-time-limit of 9 seconds" in lab.results["incomplete_because"]
    assert 0 < lab.results["counts"]["n_scored"] < 400
    lab.plan(seconds=0)
    run = lab.run("--lmms-resume", *workers)
    assert run.code == 0, run
    assert set(lab.asked().values()) == {1}
