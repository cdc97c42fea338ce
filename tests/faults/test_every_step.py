"""A run that is disturbed while it writes one certain file ends in good order, and goes on as if nothing had been.

Some of the steps here; `python -m tools.soak steps` takes them all, with workers too.
"""

from __future__ import annotations

import pytest

from tools.soak.steps import Steps


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """One for all, with one undisturbed run."""
    return Steps(tmp_path_factory.mktemp("steps"))


@pytest.fixture(scope="module")
def names(steps):
    """What an undisturbed run does to its folder, in order."""
    return steps.names()


def step_of(names, *words, number=0):
    """The step whose text has all of these words, counted from 1; of several the one of that number."""
    return [i for i, name in enumerate(names, 1) if all(word in name for word in words)][number]


@pytest.mark.parametrize(
    ("kind", "words", "number"),
    [
        ("full", ("mkdir", "_model_"), 0),
        ("full", ("open", "run.json"), 0),
        ("full", ("open", "shards/main"), 0),
        ("full", ("write", "responses/"), 1),
        ("full", ("open", "results.json"), 0),
        ("read-only", ("mkdir", "/shards"), 0),
        ("read-only", ("write", "shards/main"), 1),
        ("read-only", ("rename", "/report.html"), 0),
        ("read-only", ("remove", "/budget"), 0),
        ("kill", ("open", "run.json"), 0),
        ("kill", ("write", "shards/main"), 1),
        ("kill", ("rename", "/results.json"), 0),
        ("kill", ("remove", "shards/main"), 0),
    ],
)
def test_a_run_disturbed_at_a_step_goes_on_and_equals_an_undisturbed_one(steps, names, kind, words, number):
    step = step_of(names, *words, number=number)
    outcome = steps.disturb(kind, step, "main", names[step - 1])
    assert not outcome.breaches


def test_verdicts_of_gates_that_cannot_be_written_fail_the_run_and_say_so(tmp_path):
    gated = Steps(tmp_path, ["--lmms-fail-under", "exact_match=0.1"])
    for _ in range(3):  # records may share a write, or not: then the step is another in the next run
        names = gated.names()
        step = step_of(names, "open", "results.json", number=1)
        outcome = gated.disturb("read-only", step, "main", names[step - 1])
        if outcome.code:
            break
    assert outcome.code == 1
    assert not outcome.breaches
