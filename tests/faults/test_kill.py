"""Runs that are killed, interrupted or out of space at random moments go on as if nothing had happened.

One run a fault here, another SEED other moments; `make soak` disturbs a hundred.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.plugin.run_helpers import timeless
from tools.soak.faults import FAULTS
from tools.soak.kills import Soak

SEED = int(os.environ.get("SEED", "0"))
NUM_DOCUMENTS = 40


@pytest.fixture(scope="module")
def soak(tmp_path_factory):
    """One for all faults, which are compared with the same undisturbed runs."""
    return Soak(tmp_path_factory.mktemp("soak"), seed=SEED)


@pytest.mark.parametrize(("number", "fault"), list(enumerate(name for name in FAULTS if "Ray" not in name)))
def test_a_disturbed_run_goes_on_and_equals_an_undisturbed_one(soak, number, fault):
    if fault not in soak.names:
        pytest.skip(str(soak.left_out))
    assert not soak.disturb(number, fault).breaches


def test_four_workers_finish_the_blocks_of_two_that_are_killed(lab):
    lab.task(NUM_DOCUMENTS)
    lab.plan(kills_once=[3, 30], seconds=0.01)
    run = lab.run("-n", "4")
    assert run.code == 0, run
    assert len(list(lab.path.glob("killed-*"))) == 2
    assert [record["doc_id"] for record in lab.records()] == list(range(NUM_DOCUMENTS))
    assert lab.results["counts"]["n_error"] == 0


def date(folder, seconds):
    """Date everything in a folder."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (seconds, seconds))


def test_a_clock_set_back_between_runs_and_before_one_goes_on_changes_nothing(lab):
    lab.task(NUM_DOCUMENTS)
    assert lab.run("--lmms-batch-size", "2").code == 0
    undisturbed, expected = lab.run_path, lab.results
    date(undisturbed, 4e9)
    lab.forget()
    lab.plan(kills_once=[21])
    assert lab.run("--lmms-batch-size", "2").code == -9
    (killed,) = (path for path in lab.path.glob("results/*") if path != undisturbed)
    num_kept = sum(1 for line in (killed / "responses").glob("*") for _ in line.open())
    assert num_kept
    date(killed, (killed / "run.json").stat().st_mtime + 86_400)  # it began a day ahead of the clock
    run = lab.run("--lmms-batch-size", "2", "--lmms-resume")
    assert run.code == 0, run
    assert {path.name for path in lab.path.glob("results/*")} == {undisturbed.name, killed.name}
    assert sum(number > 1 for number in lab.asked().values()) <= 3 * 2
    assert set(lab.asked()) == set(range(NUM_DOCUMENTS))
    assert timeless(json.loads((killed / "results.json").read_text())) == timeless(expected)
