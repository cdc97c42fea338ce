"""Baselines by path and by name."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_lmms.errors import StoreError, UsageError
from pytest_lmms.results.baselines import find_baseline, save_baseline
from tests.results.run_files import write_run


def test_the_newest_run_saved_under_a_name_is_found(tmp_path):
    store = tmp_path / "store"
    for name in ("20260101_000000_m", "20260102_000000_m"):
        run = write_run(tmp_path / name, {"t": [1, 0]})
        (run / "responses").mkdir()
        saved = save_baseline(store, "main", run)
    found = find_baseline("last:main", store)
    assert found.path == saved / "results.json"
    assert found.name == "20260102_000000_m"
    assert sorted(p.name for p in saved.iterdir()) == ["number", "results.json", "samples_t.jsonl"]


def test_the_run_saved_last_is_found_though_the_clock_was_set_back(tmp_path):
    store, early, late = tmp_path / "store", "20260101_000000_m", "20300101_000000_m"
    for name in (late, early):
        save_baseline(store, "main", write_run(tmp_path / name, {"t": [1, 0]}))
    shutil.copytree(store, tmp_path / "checkout", copy_function=shutil.copyfile)  # as git does, without dates
    for there in (store, tmp_path / "checkout"):
        assert find_baseline("last:main", there).name == early
    save_baseline(store, "main", tmp_path / late)
    assert find_baseline("last:main", store).name == late


@pytest.mark.parametrize("number", [None, "", "many"])
def test_without_readable_numbers_the_newest_by_name_is_found_and_the_next_saved_comes_after_it(tmp_path, number):
    store = tmp_path / "store"
    for name in ("20260102_000000_m", "20260101_000000_m"):
        saved = save_baseline(store, "main", write_run(tmp_path / name, {"t": [1, 0]})) / "number"
        saved.unlink() if number is None else saved.write_text(number)
    assert find_baseline("last:main", store).name == "20260102_000000_m"
    save_baseline(store, "main", write_run(tmp_path / "20250101_000000_m", {"t": [1, 0]}))
    assert find_baseline("last:main", store).name == "20250101_000000_m"


def test_saving_a_run_again_replaces_it(tmp_path):
    run = write_run(tmp_path / "run", {"t": [1, 0]})
    save_baseline(tmp_path / "store", "main", run)
    (run / "samples_t.jsonl").write_text("")
    saved = save_baseline(tmp_path / "store", "main", run)
    assert (saved / "samples_t.jsonl").read_text() == ""
    assert len(list(saved.parent.iterdir())) == 1


def test_several_that_save_one_run_at_once_all_leave_it_whole(tmp_path):
    run = write_run(tmp_path / "run", {"t": [1, 0]})
    with ThreadPoolExecutor(8) as pool:
        saved = {
            save.result() for save in [pool.submit(save_baseline, tmp_path / "store", "main", run) for _ in range(40)]
        }
    (folder,) = saved
    assert [p.name for p in folder.parent.iterdir()] == ["run"]
    assert len(list(find_baseline("last:main", tmp_path / "store").rows("t"))) == 2


def test_a_run_that_is_cut_short_is_no_baseline(tmp_path):
    run = write_run(tmp_path / "run", {"t": [1]}, status="interrupted")
    with pytest.raises(StoreError, match="'interrupted' is no baseline"):
        save_baseline(tmp_path / "store", "main", run)
    assert not (tmp_path / "store").exists()


def test_an_unknown_name_names_the_known_ones(tmp_path):
    save_baseline(tmp_path / "store", "main", write_run(tmp_path / "run", {"t": [1]}))
    with pytest.raises(UsageError, match=r"(?s)no baseline 'mian'.*did you mean: main.*--lmms-save-baseline mian"):
        find_baseline("last:mian", tmp_path / "store")
    with pytest.raises(UsageError, match="no baseline 'main'"):
        find_baseline("last:main", tmp_path / "nowhere")


def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such path"):
        find_baseline(str(tmp_path / "gone"), tmp_path)
