"""A third party's plugin, the shipped example: its metric and its filter take part everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_helpers import lab  # noqa: F401

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin_answer_length" / "answer_length.py"


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_the_example_plugin_adds_its_metric_to_every_task(lab, workers):  # noqa: F811
    (lab.path / "answer_length.py").write_text(EXAMPLE.read_text())
    lab.task(6, filter_list=[{"name": "none", "filter": [{"function": "first_line"}]}])
    run = lab.run(*workers, plugins=("xdist", "answer_length"))
    assert run.code == 0, run
    assert lab.results["results"]["toy"]["answer_length,none"] == 1.0
    assert lab.results["higher_is_better"]["toy"] == {"exact_match": True, "answer_length": False}
    assert "answer_length" in run.output
    assert all(record["answer_length"] == 1.0 for record in lab.records())


def test_hooks_hear_of_records_and_of_the_end(lab):  # noqa: F811
    (lab.path / "listener.py").write_text(
        "from pathlib import Path\n"
        "def pytest_lmms_document_recorded(record):\n"
        "    with Path('heard').open('a') as file: file.write(f'{record.doc_id}\\n')\n"
        "def pytest_lmms_run_finished(results, run_folder):\n"
        "    assert (run_folder / 'results.json').is_file()\n"
        "    Path('finished').write_text(str(results['counts']['n_scored']))\n"
    )
    lab.task(4)
    run = lab.run(plugins=("xdist", "listener"))
    assert run.code == 0, run
    assert sorted((lab.path / "heard").read_text().split()) == ["0", "1", "2", "3"]
    assert (lab.path / "finished").read_text() == "4"
