"""A soak tells what is lost, doubled, asked again or different, and keeps quiet about times."""

from __future__ import annotations

import json

import pytest

from pytest_lmms.inference.cache import ResponseStore
from tools.soak.checks import Undisturbed, asked_wrongly, left_wrongly
from tools.soak.load import load, scored_by_its_own_answer
from tools.soak.sharing import Crowd

ASKED = {"q0": 1, "q1": 2, "q2": 1}


def leave(output, records, results):
    run = output / "a_run"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "results.json").write_text(json.dumps(results))
    (run / "samples_soak.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


RECORDS = [{"doc_id": i, "resps": [f"A{i}"], "timings": [1.5], "flags": []} for i in range(3)]
RESULTS = {"results": {"soak": {"exact_match,none": 1.0}}, "date": 1}


@pytest.fixture
def expected(tmp_path):
    leave(tmp_path / "undisturbed", RECORDS, RESULTS)
    return Undisturbed.read(tmp_path / "undisturbed", 1.0)


def test_a_run_that_differs_in_times_and_in_how_it_came_by_its_responses_is_the_same(tmp_path, expected):
    records = [{**record, "timings": [9.0], "num_cached": 1, "flags": ["retried"]} for record in RECORDS]
    leave(tmp_path / "again", records, {**RESULTS, "date": 2})
    assert left_wrongly(tmp_path / "again", expected) == []


@pytest.mark.parametrize(
    ("records", "results", "said"),
    [
        ([*RECORDS, RECORDS[1]], RESULTS, "records doubled: [1]"),
        (RECORDS[:2], RESULTS, "records lost: [2]"),
        ([*RECORDS[:2], {**RECORDS[2], "resps": ["A1"]}], RESULTS, "records differ"),
        ([RECORDS[1], RECORDS[0], RECORDS[2]], RESULTS, "records differ"),
        (RECORDS, {"results": {"soak": {"exact_match,none": 0.9}}}, "results.json differs"),
    ],
)
def test_what_is_lost_doubled_or_different_is_told(tmp_path, expected, records, results, said):
    leave(tmp_path / "again", records, results)
    (wrong,) = left_wrongly(tmp_path / "again", expected)
    assert wrong.startswith(said)


def test_a_run_that_left_nothing_or_half_a_line_is_told(tmp_path, expected):
    assert "cannot be read" in left_wrongly(tmp_path / "nothing", expected)[0]
    leave(tmp_path / "again", RECORDS, RESULTS)
    with (tmp_path / "again" / "a_run" / "samples_soak.jsonl").open("a") as file:
        file.write('{"doc_id": 3, "re')
    assert "cannot be read" in left_wrongly(tmp_path / "again", expected)[0]


def test_questions_may_come_twice_as_often_as_they_were_in_flight():
    assert asked_wrongly(ASKED, 3, admitted=1) == []
    assert asked_wrongly(ASKED, 3, admitted=0) == ["1 asked again, at most 0 were in flight"]
    assert asked_wrongly(ASKED, 4, admitted=1) == ["never asked: ['q3']"]
    assert asked_wrongly({**ASKED, "q2": 3}, 3, admitted=2) == ["asked more than twice: ['q2']"]


def test_processes_that_share_a_store_lose_nothing_when_some_are_killed(tmp_path):
    crowd = Crowd(tmp_path, 4, seed=0)
    assert crowd.run(4) == []
    assert crowd.num_lives >= 4


def test_a_response_that_is_lost_from_a_shared_store_is_told(tmp_path):
    crowd = Crowd(tmp_path, 1, seed=0)
    assert crowd.run(2) == []
    for path in crowd.store.iterdir():
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[1:]))
    assert len(ResponseStore(crowd.store, writer="reader", read=True))
    assert any("lost" in wrong for wrong in crowd.missing())


def test_runs_at_full_rate_ask_once_and_score_right(tmp_path, capfd):
    assert load(tmp_path / "load", 300, concurrent=100, minutes=0) == []
    assert capfd.readouterr().out.count(" 0 breaches") == 2


def test_a_record_that_another_document_s_answer_scored_is_told():
    record = {"doc_id": 1, "status": "scored", "filtered_resps": ["A1"], "exact_match": 1.0}
    assert scored_by_its_own_answer(record)
    assert not scored_by_its_own_answer({**record, "filtered_resps": ["A2"], "exact_match": 0.0})
    assert not scored_by_its_own_answer({**record, "exact_match": 0.0})
    assert not scored_by_its_own_answer({**record, "status": "error"})
    assert scored_by_its_own_answer({**record, "doc_id": 7, "filtered_resps": ["I cannot tell"], "exact_match": 0.0})
