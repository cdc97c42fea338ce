import json
from types import SimpleNamespace

from pytest_lmms.scoring.submission import write_submission


def test_a_submission_lies_in_the_output_folder(tmp_path):
    write_submission("answers.json", [{"id": 1, "answer": "猫"}], SimpleNamespace(output_path=str(tmp_path)))
    text = (tmp_path / "submissions" / "answers.json").read_text(encoding="utf-8")
    assert json.loads(text) == [{"id": 1, "answer": "猫"}]


def test_half_of_a_surrogate_pair_is_written_as_json_escapes_it(tmp_path):
    write_submission("answers.json", {"1": "B\ud800", "2": "猫"}, SimpleNamespace(output_path=str(tmp_path)))
    text = (tmp_path / "submissions" / "answers.json").read_text(encoding="utf-8")
    assert text == '{"1": "B\\ud800", "2": "猫"}'
    assert json.loads(text) == {"1": "B\ud800", "2": "猫"}


def test_without_an_output_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_submission("answers.json", [], None)
    assert not list(tmp_path.iterdir())
