"""MMBench: a question and its copies find each other by their index."""

from __future__ import annotations

import pytest

from pytest_lmms import catalog
from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Response
from pytest_lmms.scoring.build import build_scorer
from pytest_lmms.scoring.score import score
from pytest_lmms.tasks.load import load_task


@pytest.mark.parametrize("index", [None, "", "nan"])
def test_a_row_without_an_index_is_an_error_before_it_spoils_the_others(index):
    task = load_task(catalog.folder("benchmarks") / "mmbench" / "mmbench_en_dev.yaml")
    document = task.open_rows("mini").document(0) | {"index": index}
    with pytest.raises(DocumentError, match=r'(?s)mmbench_process_results raised .*int\(item\["index"\]\)'):
        score(build_scorer(task, reasoning_tags=()), document, [Response(text="A")])
