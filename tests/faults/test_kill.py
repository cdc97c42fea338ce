"""Runs killed at random moments go on as if nothing had happened. KILLS sets how many."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

import pytest

from tests.plugin.run_helpers import timeless

NUM_KILLS = int(os.environ.get("KILLS", "4"))
SEED = int(os.environ.get("SEED", "0"))
NUM_DOCUMENTS = 40
ADMITTED = {(): 1, ("-n", "2"): 2}


@pytest.mark.parametrize("number", range(NUM_KILLS))
def test_a_run_killed_at_any_moment_goes_on_and_equals_an_undisturbed_one(lab, number):
    rng = random.Random(f"{SEED}/{number}")
    workers = ("-n", "2") if number % 2 else ()
    lab.task(NUM_DOCUMENTS)
    assert lab.run(*workers).code == 0
    undisturbed, records = lab.results, lab.records()
    lab.run_path.rename(lab.path / "undisturbed")
    lab.forget()
    lab.plan(seconds=0.05)
    process = lab.start(*workers)
    if rng.random() < 0.8:
        lab.wait_until_asked(rng.randint(1, NUM_DOCUMENTS - 8))
    time.sleep(rng.random() * 0.1)
    os.killpg(process.pid, signal.SIGKILL)
    assert lab.finish(process).code == -signal.SIGKILL
    lab.plan()
    run = lab.run("--lmms-resume", *workers)
    assert run.code == 0, run
    twice = [i for i, n in lab.asked().items() if n > 1]
    assert len(twice) <= ADMITTED[workers]
    assert max(lab.asked().values()) <= 2
    assert timeless(lab.results) == timeless(undisturbed)
    assert timeless(lab.records()) == timeless(records)


@pytest.mark.parametrize("pause_seconds", [0.0, 0.3], ids=["at once", "while it is saved"])
def test_two_interrupts_lose_nothing_that_was_answered(lab, pause_seconds):
    lab.task(NUM_DOCUMENTS)
    lab.plan(seconds=0.1)
    process = lab.start()
    lab.wait_until_asked(5)
    for _ in range(2):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        time.sleep(pause_seconds)
    assert lab.finish(process).code != 0
    lab.plan()
    run = lab.run("--lmms-resume")
    assert run.code == 0, run
    asked = lab.asked()
    assert sum(asked.values()) <= NUM_DOCUMENTS + 1
    assert [record["doc_id"] for record in lab.records()] == list(range(NUM_DOCUMENTS))
    assert lab.results["complete"]


def test_four_workers_finish_the_blocks_of_two_that_are_killed(lab):
    lab.task(NUM_DOCUMENTS)
    lab.plan(kills_once=[3, 30], seconds=0.01)
    run = lab.run("-n", "4")
    assert run.code == 0, run
    assert len(list(lab.path.glob("killed-*"))) == 2
    assert [record["doc_id"] for record in lab.records()] == list(range(NUM_DOCUMENTS))
    assert lab.results["counts"]["n_error"] == 0
