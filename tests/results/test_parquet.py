"""Records as Parquet."""

from __future__ import annotations

import json

import duckdb
import pandas as pd
import pyarrow.parquet as pq

from pytest_lmms.results.parquet import ROWS_AT_ONCE, write_parquet
from tests.results.run_files import write_run


def test_pandas_and_duckdb_read_the_records(tmp_path):
    folder = write_run(
        tmp_path / "run", {"t": [1, 0, None], "u": [0.5]}, samples={"token_counts": [{"output_tokens": 3}]}
    )
    paths = write_parquet(folder)
    assert [p.name for p in paths] == ["records_t.parquet", "records_u.parquet"]
    frame = pd.read_parquet(paths[0])
    assert list(frame["doc_id"]) == [0, 1, 2]
    assert frame["acc"].mean() == 0.5
    assert frame["status"].tolist() == ["scored", "scored", "error"]
    assert json.loads(frame["token_counts"][0]) == [{"output_tokens": 3}]
    query = f"select count(*), avg(acc) from read_parquet('{folder}/records_*.parquet')"
    assert duckdb.sql(query).fetchall() == [(4, 0.5)]


def test_a_column_of_mixed_values_has_one_type_over_all_rows(tmp_path):
    rows = [{"doc_id": i, "m": i, "mixed": "a" if i else 1, "parts": {"a": i}} for i in range(ROWS_AT_ONCE)]
    rows += [{"doc_id": ROWS_AT_ONCE, "m": 0.5, "mixed": None, "late": True}]
    (tmp_path / "samples_t.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (path,) = write_parquet(tmp_path)
    table = pq.read_table(path)
    assert {f.name: str(f.type) for f in table.schema} == {
        "doc_id": "int64", "m": "double", "mixed": "string", "parts": "string", "late": "double",
    }  # fmt: skip
    assert table.num_rows == ROWS_AT_ONCE + 1
    assert table["mixed"][0].as_py() == "1"
    assert table["late"][ROWS_AT_ONCE].as_py() == 1


def test_an_empty_samples_file_is_an_empty_table(tmp_path):
    (tmp_path / "samples_t.jsonl").write_text("")
    (path,) = write_parquet(tmp_path)
    assert pq.read_table(path).num_rows == 0
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".tmp"] == []
