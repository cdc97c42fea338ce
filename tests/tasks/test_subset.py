"""Fixed stratified subsets and shards."""

from __future__ import annotations

from collections import Counter

import datasets
import pytest

from pytest_lmms.errors import LmmsError
from pytest_lmms.tasks.miniature import ListRows
from pytest_lmms.tasks.rows import DatasetRows
from pytest_lmms.tasks.spec import TaskSpec
from pytest_lmms.tasks.subset import choose, stratified, values_of

STRATA = ["a"] * 50 + ["b"] * 30 + ["c"] * 20


def choice(rows, subset=None, **more):
    spec = TaskSpec(task="t", subset=more.pop("by", None))
    return list(choose(rows, spec, **{"offset": 0, "limit": None, "subset": subset, "where": "t.yaml:3", **more}))


def test_each_stratum_has_its_share():
    chosen = stratified(range(100), 10, name="t", strata=STRATA)
    assert Counter(STRATA[i] for i in chosen) == {"a": 5, "b": 3, "c": 2}
    assert chosen == sorted(set(chosen))


def test_shares_that_do_not_divide_still_add_up():
    chosen = stratified(range(100), 7, name="t", strata=STRATA)
    assert len(chosen) == 7
    assert Counter(STRATA[i] for i in chosen) in ({"a": 4, "b": 2, "c": 1}, {"a": 3, "b": 2, "c": 2})


def test_the_choice_is_fixed_by_the_task_and_is_not_the_first_rows():
    once = stratified(range(100), 10, name="t", strata=STRATA)
    assert once == stratified(range(100), 10, name="t", strata=STRATA)
    assert once != stratified(range(100), 10, name="u", strata=STRATA)
    assert once != list(range(10))


def test_a_larger_subset_holds_the_smaller_one():
    assert set(stratified(range(100), 20, name="t", strata=STRATA)) > set(
        stratified(range(100), 10, name="t", strata=STRATA)
    )


def test_rows_that_belong_together_stay_together():
    together = [i // 2 for i in range(100)]
    chosen = stratified(range(100), 10, name="t", strata=STRATA, together=together)
    assert len(chosen) == 10
    assert set(Counter(together[i] for i in chosen).values()) == {2}


def test_columns_are_those_of_the_task_or_the_first_that_divides():
    rows = ListRows([{"id": i, "category": "one", "subject": "xy"[i % 2], "pair": i // 2} for i in range(40)])
    found = choice(rows, 10)
    assert Counter(rows.storage(i)["subject"] for i in found) == {"x": 5, "y": 5}
    found = choice(rows, 10, by={"by": "category", "together": "pair"})
    assert set(Counter(rows.storage(i)["pair"] for i in found).values()) == {2}
    assert len(choice(rows, 10, by="subject")) == 10


def test_a_subset_of_all_rows_or_more_is_all_rows():
    rows = ListRows([{"id": i} for i in range(5)])
    assert choice(rows, 5) == choice(rows, 9) == [0, 1, 2, 3, 4]
    assert len(choice(rows, 2)) == 2


def test_offset_and_limit_come_first():
    rows = ListRows([{"id": i} for i in range(100)])
    assert set(choice(rows, 5, offset=20, limit=10)) < set(range(20, 30))


@pytest.mark.parametrize("by", ["nothing", {"by": "nothing"}, {"column": "id"}, 3])
def test_a_wrong_subset_of_a_task_is_told_with_its_line(by):
    with pytest.raises(LmmsError, match=r"t\.yaml:3"):
        choice(ListRows([{"id": i} for i in range(5)]), 2, by=by)


@pytest.mark.parametrize("num_shards", [1, 3, 8, 150])
def test_shards_are_a_partition_in_order(num_shards):
    rows = ListRows([{"id": i} for i in range(100)])
    parts = [choice(rows, shard=(k + 1, num_shards)) for k in range(num_shards)]
    assert [i for part in parts for i in part] == list(range(100))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_subset_is_chosen_before_it_is_divided():
    rows = ListRows([{"id": i} for i in range(100)])
    parts = [choice(rows, 10, shard=(k, 2)) for k in (1, 2)]
    assert parts[0] + parts[1] == choice(rows, 10)


def test_one_column_of_a_dataset_is_read_alone():
    rows = DatasetRows(datasets.Dataset.from_dict({"a": [1, 2], "b": ["x", "y"]}))
    rows._read = None
    assert values_of(rows, "b") == ["x", "y"]
