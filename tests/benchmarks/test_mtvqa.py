"""MTVQA: rows of images become rows of questions."""

from __future__ import annotations

import datasets
import pytest
from PIL import Image

from pytest_lmms.errors import DocumentError
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.rows import DatasetRows
from tests.parity.run import BENCHMARKS

TWO = "[{'question': 'Wo?', 'answer': 'A'}, {'question': 'Wann?', 'answer': ''}, {'question': 'Wer?', 'answer': 'B'}]"


def rows_of(*pairs):
    image = Image.new("RGB", (3, 2))
    stored = [{"image": image, "id": str(i), "lang": "de", "qa_pairs": value} for i, value in enumerate(pairs)]
    task = load_task(index_tasks([BENCHMARKS]).tasks["mtvqa"])
    return DatasetRows(task.spec.process_docs(datasets.Dataset.from_list(stored)))


def test_each_question_with_an_answer_is_a_document():
    rows = rows_of(TWO, "[]")
    assert [rows.document(i)["question"] for i in range(len(rows))] == ["Wo?", "Wer?"]


@pytest.mark.parametrize("value", [None, "[{'question'", "7", "['a']"])
def test_a_row_whose_questions_cannot_be_read_is_an_error_and_no_other_row_is(value):
    rows = rows_of(TWO, value, TWO)
    assert len(rows) == 5
    with pytest.raises(DocumentError, match="is no list of questions and answers"):
        rows.document(2)
    assert [rows.document(i)["question_id"] for i in (0, 1, 3, 4)] == ["0_0", "0_1", "2_0", "2_1"]
