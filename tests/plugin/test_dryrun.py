"""`--lmms-dry-run`: what would be asked."""

from __future__ import annotations

import pytest

MODEL = """
from pytest_lmms.errors import MediaError
from pytest_lmms.inference.model import Measured

class Counting:
    def __init__(self, context=100, broken=None):
        raise AssertionError("weights are loaded")

    @classmethod
    def measure(cls, context=100, broken=None):
        def measure(request):
            if request.doc_id == broken:
                raise MediaError("no such picture")
            return Measured(10 * (request.doc_id + 1), context, num_frames=2)

        return measure
"""
CONFTEST = """
def pytest_lmms_register_models(register):
    register("counting", "counting_model:Counting")
"""


@pytest.fixture
def counting(pytester):
    """A model that counts words, and must not be built."""
    pytester.makepyfile(counting_model=MODEL)
    pytester.makeconftest(CONFTEST)
    pytester.syspathinsert()
    return "counting"


def test_prompts_requests_and_tokens_are_shown_and_nothing_is_asked(pytester, write_task, run, counting):
    settings = {"max_new_tokens": 15}
    text = "Say {{question}}"
    task = write_task(pytester.path / "tasks", "t", 12, repeats=2, generation_kwargs=settings, doc_to_text=text)
    result = run(task, "--lmms-dry-run", model=counting)
    assert result.ret == 0
    result.stdout.fnmatch_lines([
        "*t: first prompt*",
        "*- Say q0",
        "*dry run: nothing was asked*",
        "t: 12 documents, 24 requests",
        "  48 frames of video",
        "  1,560 input tokens; a prompt has 10 to 120, 65 on average",
        "  at most 360 output tokens (max_new_tokens)",
        "  4 prompts do not fit into the context of 100 tokens: t?10?, t?11?",
        "  4 answers of max_new_tokens do not fit behind their prompt of 100 tokens: t?8?, t?9?",
        "1 task, 24 requests with 1,560 input tokens",
    ])  # fmt: skip
    assert not (pytester.path / "results").exists()


def test_a_model_that_does_not_count_is_told_apart(pytester, write_task, run):
    result = run(write_task(pytester.path / "tasks", "t", 3), "--lmms-dry-run")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["t: 3 documents, 3 requests", "  input tokens: the model does not count them*"])


def test_a_large_task_is_measured_in_part(pytester, write_task, run, counting):
    task = write_task(pytester.path / "tasks", "t", 1000)
    result = run(task, "--lmms-dry-run", "--lmms-model-args", "context=100000", model=counting)
    result.stdout.fnmatch_lines(
        ["t: 1,000 documents, about 1,000 requests", "  (measured on 200 documents, evenly spaced)"]
    )


def test_documents_that_cannot_be_asked_fail_the_dry_run(pytester, write_task, run, counting):
    task = write_task(pytester.path / "tasks", "t", 4)
    result = run(task, "--lmms-dry-run", "--lmms-model-args", "broken=2", model=counting)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["  1 documents cannot be asked; the first: no such picture"])


def test_wrong_arguments_of_the_model_are_told(pytester, write_task, run, counting):
    task = write_task(pytester.path / "tasks", "t", 4)
    result = run(task, "--lmms-dry-run", "--lmms-model-args", "contxt=3", model=counting)
    assert result.ret == 4


def test_workers_are_refused(pytester, write_task):
    task = write_task(pytester.path / "tasks", "t", 4)
    args = [task, "-n2", "--lmms-dry-run", "--lmms-data", "mini", "--lmms-model", "dummy"]
    result = pytester.runpytest_subprocess(*map(str, args))
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*a dry run needs one process*"])
