"""`process_docs` over rows of which some cannot be changed: each is an error of its own document."""

from __future__ import annotations

import json

import pytest

from pytest_lmms.errors import DocumentError
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.rows import digest_row

ROWS = [{"question": "one", "answer": "1"}, {"question": "two", "answer": None}, {"question": "three", "answer": "3"}]
YAML = """task: toy
dataset_path: json
test_split: train
dataset_kwargs: {data_files: rows.jsonl}
process_docs: !function utils.rows
doc_to_text: question
doc_to_target: answer
"""
CODE = """from pytest_lmms.tasks.rowwise import each_row

def _doubled(row):
    return {"answer": row["answer"] * 2}

def rows(dataset):
    return each_row(dataset, _doubled)
"""


@pytest.fixture
def task_over(tmp_path):
    def task_over(rows, code=CODE):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "utils.py").write_text(code)
        (tmp_path / "toy.yaml").write_text(YAML)
        return load_task(tmp_path / "toy.yaml")

    return task_over


def test_a_row_that_cannot_be_changed_is_an_error_of_its_document(task_over):
    task = task_over(ROWS)
    rows = task.open_rows()
    assert [rows.document(i) for i in (0, 2)] == [
        {"question": "one", "answer": "11"}, {"question": "three", "answer": "33"}
    ]  # fmt: skip
    with pytest.raises(DocumentError) as error:
        task.render(rows, 1)
    message = str(error.value)
    assert message.startswith("toy.yaml::toy[1]: process_docs failed with TypeError: ")
    assert "utils.py:4)" in message
    assert rows.columns == ["question", "answer"]
    assert rows.storage(1) == ROWS[1]


def test_a_row_without_the_column_names_those_that_it_has(task_over):
    task = task_over(ROWS, CODE.replace('row["answer"]', 'row["answers"]'))
    with pytest.raises(DocumentError, match=r"KeyError: 'answers'.*\n  the document has the columns question, answer"):
        task.render(task.open_rows(), 0)


def test_rows_have_the_digests_that_they_have_without_a_bad_one_among_them(task_over):
    good = task_over([ROWS[0], ROWS[2]]).open_rows()
    some = task_over(ROWS).open_rows()
    assert [digest_row(good.storage(i)) for i in (0, 1)] == [digest_row(some.storage(i)) for i in (0, 2)]
    assert good.columns == some.columns


def test_nothing_is_changed_in_a_dataset_without_rows(task_over):
    code = CODE.replace("each_row(dataset,", "each_row(dataset.select([]),")
    assert len(task_over(ROWS, code).open_rows()) == 0
