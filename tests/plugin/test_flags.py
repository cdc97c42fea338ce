"""What was cut is told: on the record, in results.json, on the terminal."""

from __future__ import annotations

from pytest_lmms.records import ANSWER_TRUNCATED, PROMPT_TRUNCATED

MODEL = """
from pytest_lmms.records import Response

class Cutting:
    def generate(self, requests):
        return [self.answer(r) for r in requests]

    def answer(self, request):
        number = request.doc_id
        flags = ("prompt_truncated",) if number == 2 else ()
        return Response(text="A", finish_reason="length" if number < 2 else "stop", flags=flags)
"""
CONFTEST = """
def pytest_lmms_register_models(register):
    register("cutting", "cutting_model:Cutting")
"""


def test_cut_answers_and_prompts_are_flagged_counted_and_told(pytester, write_task, run, records_of, results_of):
    pytester.makepyfile(cutting_model=MODEL)
    pytester.makeconftest(CONFTEST)
    pytester.syspathinsert()
    result = run(write_task(pytester.path / "tasks", "t", 4), model="cutting")
    assert result.ret == 0
    flags = [r.get("flags") for r in records_of("t")]
    assert flags == [[ANSWER_TRUNCATED], [ANSWER_TRUNCATED], [PROMPT_TRUNCATED], None]
    assert results_of()["flags"] == {"t": {ANSWER_TRUNCATED: 2, PROMPT_TRUNCATED: 1}}
    result.stdout.fnmatch_lines(["t: 2 answers ended at max_new_tokens*(flag answer_truncated in samples_t.jsonl)"])
    result.stdout.fnmatch_lines(["t: 1 prompts do not fit*(flag prompt_truncated in samples_t.jsonl)"])


def test_nothing_is_told_where_nothing_was_cut(pytester, write_task, run, results_of):
    result = run(write_task(pytester.path / "tasks", "t", 4))
    assert results_of()["flags"] == {}
    result.stdout.no_fnmatch_line("*flag *")
