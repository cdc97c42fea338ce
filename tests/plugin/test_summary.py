"""What a run shows and how it ends: progress, errors, captured prints, exit codes."""

from __future__ import annotations

import os
import pty
import re
import select
import xml.etree.ElementTree as ET

import pytest
from run_helpers import lab  # noqa: F401

from pytest_lmms.plugin.alike import ALIKE_SHOWN, FAILURES_SHOWN, Errors, alike


@pytest.mark.parametrize(
    ("allowed", "code", "workers"),
    [("1", 1, ()), ("2", 0, ()), ("10%", 0, ()), ("9%", 1, ()), ("1", 1, ("-n", "2")), ("2", 0, ("-n", "2"))],
)
def test_errors_beyond_what_is_allowed_decide_the_exit_code(lab, allowed, code, workers):  # noqa: F811
    lab.task(20)
    lab.plan(raises=[3, 5])
    run = lab.run("--lmms-max-errors", allowed, *workers)
    assert run.code == code, run
    assert lab.results["counts"]["n_error"] == 2
    assert ("within --lmms-max-errors" in run.output) == (code == 0)


def test_a_failed_ordinary_test_is_not_forgiven_with_the_documents(lab):  # noqa: F811
    lab.task(4)
    lab.plan(raises=[1])
    (lab.path / "bench" / "test_plain.py").write_text("def test_one(): assert 0\n")
    assert lab.run("--lmms-max-errors", "1").code == 1


def test_an_aggregation_that_raises_fails_the_run_and_says_so(lab):  # noqa: F811
    lab.task(
        2,
        code="def process(doc, results): return {'m': 1}\ndef total(items): raise KeyError('lost')\n",
        process_results="!function utils.process",
        metric_list=[{"metric": "m", "aggregation": "!function utils.total", "higher_is_better": True}],
    )
    run = lab.run()
    assert run.code == 1, run
    assert "aggregation total of metric m failed" in run.output
    assert lab.results["complaints"]


def test_an_errored_document_is_a_failure_in_junit(lab):  # noqa: F811
    lab.task(3)
    lab.plan(raises=[1])
    lab.run("--junitxml", "out.xml")
    suite = ET.parse(lab.path / "out.xml").getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    (failed,) = [case for case in suite if case.find("failure") is not None]
    assert failed.get("name") == "toy[1]"
    assert "too hard" in failed.find("failure").text


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_verbose_output_has_a_word_for_each_document_and_no_impossible_percentage(lab, workers):  # noqa: F811
    lab.task(
        12,
        code="from pytest_lmms.records import Unparsed\n"
        "def process(doc, results):\n"
        "    return (Unparsed if doc['question'] == 'q2' else dict)(m=1.0)\n",
        process_results="!function utils.process",
        metric_list=[{"metric": "m", "aggregation": "mean", "higher_is_better": True}],
    )
    lab.plan(raises=[5])
    output = lab.run("-v", *workers).output
    words = dict(re.findall(r"(SCORED|UNPARSED|ERROR) [^\n]*toy\[(\d+)\]", output) if workers else
                 [(b, a) for a, b in re.findall(r"toy\[(\d+)\] (SCORED|UNPARSED|ERROR)", output)])  # fmt: skip
    assert {"SCORED", "UNPARSED", "ERROR"} == set(words)
    assert (words["UNPARSED"], words["ERROR"]) == ("2", "5")
    assert all(int(p) <= 100 for p in re.findall(r"\[ *(\d+)%\]", output))


def test_nothing_is_redrawn_where_nobody_watches(lab):  # noqa: F811
    lab.task(5)
    lab.plan(seconds=0.15)
    output = lab.run().output
    assert "\r" not in output
    assert "docs/s" not in output


def test_a_terminal_shows_how_far_the_run_is(lab):  # noqa: F811
    lab.task(10)
    lab.plan(seconds=0.2, raises=[2])
    parent, child = pty.openpty()
    process = lab.start(stdout=child, stderr=child, stdin=child)
    os.close(child)
    shown = b""
    while select.select([parent], [], [], 200)[0]:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other side has closed
            break
        if not part:
            break
        shown += part
    process.wait(200)
    os.close(parent)
    text = shown.decode()
    line = next(p for p in text.split("\r") if "docs/s" in p and "tokens/s" in p and "left" in p)
    assert re.search(r"\[ *\d+/10\] toy 1\.000 · [\d.,]+ docs/s · [\d,]+ tokens/s · \d+:\d\d left", line), line
    assert "1 error" in text
    assert "Task  Metric" in text


def test_without_a_terminal_reporter_the_run_is_the_same(lab):  # noqa: F811
    lab.task(4)
    lab.plan(raises=[1])
    run = lab.run("-p", "no:terminal")
    assert run.code == 1, run
    assert lab.results["counts"]["n_scored"] == 3


# --- captured -----------------------------------------------------------------------------------------------------

PRINTING = """
import logging
def ask(doc):
    print('task code talks')
    logging.warning('about %s', doc['question'])
    return doc['question']
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_prints_go_to_the_log_and_log_lines_to_the_document_that_failed(lab, workers):  # noqa: F811
    lab.task(6, code=PRINTING, doc_to_text="!function utils.ask")
    lab.plan(raises=[4], prints=True)
    run = lab.run(*workers)
    assert "talks" not in run.output
    assert "hello" not in run.output
    printed = "".join(p.read_text() for p in (lab.run_path / "logs").iterdir())
    assert "the adapter says hello" in printed
    assert "task code talks" in printed
    assert "about q4" in run.output
    assert "about q3" not in run.output


def test_everything_is_shown_when_the_user_wants_it(lab):  # noqa: F811
    lab.task(2, code=PRINTING, doc_to_text="!function utils.ask")
    assert "task code talks" in lab.run("-s").output


def test_an_ordinary_test_after_documents_has_its_prints_to_itself(lab):  # noqa: F811
    lab.task(3, code=PRINTING, doc_to_text="!function utils.ask")
    (lab.path / "bench" / "zz").mkdir()
    (lab.path / "bench" / "zz" / "test_plain.py").write_text(
        "def test_it(capsys):\n    print('mine')\n    assert capsys.readouterr().out == 'mine\\n'\n"
    )
    run = lab.run()
    assert run.code == 0, run


# --- many errors --------------------------------------------------------------------------------------------------


def test_errors_that_differ_in_numbers_only_are_alike():
    assert alike("bench/toy.yaml::toy[3]: lost 7 of 9\n  at x.py:3") == alike("bench/toy.yaml::toy[12]: lost 1 of 9")
    assert alike("toy[3]: lost") != alike("toy[3]: found")


def test_a_few_of_each_kind_are_shown_and_not_too_many_kinds():
    errors = Errors()
    shown = [errors.admit(f"t[{i}]", f"kind {chr(97 + i % 26)}") for i in range(200)]
    assert sum(shown) == FAILURES_SHOWN
    errors = Errors()
    assert [errors.admit(f"t[{i}]", "lost") for i in range(5)] == [True] * ALIKE_SHOWN + [False] * 2
    assert list(errors.lines()) == ["      5 x lost (first: t[0])"]


def test_two_thousand_equal_errors_are_readable(lab):  # noqa: F811
    lab.task(2000)
    lab.plan(raises="all")
    run = lab.run()
    assert run.code == 1, run
    assert len(run.output.splitlines()) < 60
    assert "2,000 x toy[0]: ValueError: this document is too hard" in run.output
    assert run.output.count("too hard") < 15
    assert "3 failed, 1997 more documents with errors" in run.output
    assert len(lab.results["error_documents"]) == 100
