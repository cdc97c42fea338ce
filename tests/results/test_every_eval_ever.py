"""Runs in the schema of Every Eval Ever."""

from __future__ import annotations

import json
import re

import pytest

from pytest_lmms.cli import main
from pytest_lmms.results.every_eval_ever import export
from pytest_lmms.results.runs import read_run
from tests.results.run_files import write_run

REQUIRED = {
    "schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info", "eval_library",
    "evaluation_results",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A run of a checkpoint of the Hub on one task."""
    return write_run(
        tmp_path / "run", {"t": [1, 0, 1, 1]}, date="2026-01-02T03:04:05+0000",
        configs={"dataset_path": "org/data", "test_split": "test", "metadata": {"version": 2},
                 "generation_kwargs": {"max_new_tokens": 16, "temperature": 0, "until": ["x"]}},
        config={"model": "huggingface", "model_args": {"pretrained": "maker/model-2b", "api_key": "********"}},
        versions_of_packages={"pytest-lmms": "0.1.0", "torch": "2.9"}, **{"n-shot": {"t": 0}},
    )  # fmt: skip


def test_a_record_says_who_what_how_and_how_sure(folder):
    ((path, record),) = export(read_run(folder), organization="lab", relationship="third_party", now=1.8e9)
    assert re.fullmatch(
        r"data/t/maker/model-2b/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.json", path
    )
    assert record.keys() == REQUIRED | {"evaluation_timestamp"}
    assert record["evaluation_id"] == "t/maker/model-2b/1800000000"
    assert record["evaluation_timestamp"] == "2026-01-02T03:04:05+00:00"
    assert (record["model_info"]["id"], record["model_info"]["developer"]) == ("maker/model-2b", "maker")
    assert all(isinstance(v, str) for v in record["model_info"]["additional_details"].values())
    (result,) = record["evaluation_results"]
    assert result["score_details"]["score"] == 0.75
    assert result["score_details"]["uncertainty"]["standard_error"]["value"] == 0.1
    assert result["metric_config"]["lower_is_better"] is False
    assert result["source_data"]["hf_repo"] == "org/data"
    assert result["generation_config"] == {
        "generation_args": {"temperature": 0, "max_tokens": 16},
        "additional_details": {"until": '["x"]', "num_fewshot": "0"},
    }


@pytest.mark.parametrize(
    ("model_args", "identity"),
    [
        ({"pretrained": "/data/checkpoints/mine"}, "unknown/mine"),
        ({"model": "gpt-x"}, "unknown/gpt-x"),
        ({}, "unknown/m"),
    ],
)
def test_a_model_without_a_name_on_the_hub_has_no_developer(tmp_path, model_args, identity):
    folder = write_run(tmp_path / "run", {"t": [1]}, config={"model": "m", "model_args": model_args})
    ((_, record),) = export(read_run(folder), organization="lab", relationship="other", now=0)
    assert record["model_info"]["id"] == identity


def test_a_metric_without_direction_is_left_out(tmp_path):
    folder = write_run(tmp_path / "run", {"t": [1]}, higher_is_better=None)
    assert list(export(read_run(folder), organization="lab", relationship="other", now=0)) == []


def test_the_command_writes_the_records(folder, tmp_path, capsys):
    assert main(["export", str(folder), "--organization", "lab", "--output", str(tmp_path / "out")]) == 0
    (path,) = (tmp_path / "out").rglob("*.json")
    assert capsys.readouterr().out.strip() == str(path)
    assert json.loads(path.read_text())["source_metadata"]["source_organization_name"] == "lab"
