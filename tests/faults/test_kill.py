"""Runs that are killed, interrupted or out of space at random moments go on as if nothing had happened.

One run a fault here, another SEED other moments; `make soak` disturbs a hundred.
"""

from __future__ import annotations

import os

import pytest

from tools.soak.faults import FAULTS
from tools.soak.kills import Soak

SEED = int(os.environ.get("SEED", "0"))
NUM_DOCUMENTS = 40


@pytest.fixture(scope="module")
def soak(tmp_path_factory):
    """One for all faults, which are compared with the same undisturbed runs."""
    return Soak(tmp_path_factory.mktemp("soak"), seed=SEED)


@pytest.mark.parametrize(("number", "fault"), enumerate(name for name in FAULTS if "Ray" not in name))
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
