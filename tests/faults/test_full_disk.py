"""A disk that fills up, files that are taken away: what was asked is told as an error, what was written stays."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil

import pytest

from pytest_lmms.inference.cache import ResponseStore
from pytest_lmms.jsonl import LineFile
from pytest_lmms.records import Response

LIMIT_BYTES = 4000


@pytest.fixture
def full_after(monkeypatch):
    """Let writes end as they do on a full disk: a part of the bytes first, then no space."""

    def full_after(num_bytes):
        left = [num_bytes]
        write = os.write

        def short(fd, data):
            if left[0] <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = write(fd, bytes(data)[: left[0]])
            left[0] -= written
            return written

        monkeypatch.setattr("pytest_lmms.jsonl.os.write", short)
        return left

    return full_after


def test_half_a_line_costs_itself_and_never_the_next(tmp_path, full_after):
    path = tmp_path / "lines"
    file = LineFile(path)
    left = full_after(10)
    file.write(b"first\n")
    with pytest.raises(OSError, match="No space left"):
        file.write(b"second\n")
    left[0] = 1000
    file.write(b"third\n")
    file.close()
    assert path.read_bytes() == b"first\nseco\nthird\n"


def test_a_line_that_a_kill_cut_short_is_ended_by_whoever_opens_the_file_again(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"first\nsec")
    file = LineFile(path)
    file.write(b"third\n")
    file.close()
    assert path.read_bytes() == b"first\nsec\nthird\n"


def test_batches_after_a_failed_write_are_given_out_and_the_failed_one_is_not(tmp_path, full_after):
    store = ResponseStore(tmp_path, writer="w")
    left = full_after(70)
    store.put([("a", Response(text="1"))])
    with pytest.raises(OSError, match="No space left"):
        store.put([("b", Response(text="2" * 100))])
    left[0] = 1000
    store.put([("c", Response(text="3"))])
    store.close()
    again = ResponseStore(tmp_path, writer="w", read=True)
    assert [again.get(key) is not None for key in "abc"] == [True, False, True]


def test_a_run_on_a_disk_that_fills_up_fails_and_goes_on_when_there_is_room(lab):
    lab.task(40)
    conftest = lab.path / "conftest.py"
    code = conftest.read_text()
    limit = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT_BYTES}, {resource.RLIM_INFINITY}))\n"
    conftest.write_text(limit + code)
    run = lab.run("-p", "no:cacheprovider")
    assert run.code not in (0, None), run
    assert "File too large" in run.output or "space" in run.output, run
    conftest.write_text(code)
    for path in lab.path.glob("results/*/responses/*.jsonl"):
        assert path.stat().st_size <= LIMIT_BYTES
    run = lab.run("--lmms-resume")
    assert run.code == 0, run
    assert lab.results["counts"]["n_scored"] == 40
    assert [json.dumps(r["doc_id"]) for r in lab.records()] == [str(i) for i in range(40)]


def test_lines_of_a_file_that_is_gone_are_refused(tmp_path):
    path = tmp_path / "lines"
    file = LineFile(path)
    file.write(b"first\n")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"removed during the run: .*lines"):
        file.write(b"second\n")
    file.close()


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_a_run_whose_folder_is_removed_stops_and_says_so(lab, workers):
    lab.task(200)
    lab.plan(seconds=0.05)
    process = lab.start(*workers)
    lab.wait_until_asked(10)
    shutil.rmtree(lab.run_path, ignore_errors=True)
    run = lab.finish(process)
    assert run.code not in (0, None), run
    assert "the file was removed during the run" in run.output
    assert sum(lab.asked().values()) < 200


def test_a_run_whose_folder_is_removed_at_its_end_is_no_success(lab):
    lab.task(3)
    (lab.path / "bench" / "conftest.py").write_text(
        "import shutil\nfrom pytest_lmms.plugin.session import session_of\n\n\n"
        "def pytest_runtest_logreport(report):\n"
        "    if report.nodeid.endswith('[2]'):\n"
        "        shutil.rmtree(session_of(CONFIG).run_path, ignore_errors=True)\n\n\n"
        "def pytest_configure(config):\n    global CONFIG\n    CONFIG = config\n"
    )
    run = lab.run()
    assert run.code == 1, run
    assert "results could not be made" in run.output
    assert "was removed during the run" in run.output


def test_prints_that_cannot_be_written_down_end_no_run(lab):
    lab.task(4)
    lab.plan(prints=True)
    conftest = lab.path / "conftest.py"
    in_the_way = """
    from pytest_lmms.plugin.session import session_of
    run_path = session_of(pytestconfig).run_path
    run_path.mkdir(parents=True, exist_ok=True)
    (run_path / "logs").write_text("no folder")
    return Model()
"""
    conftest.write_text(conftest.read_text().replace("    return Model()\n", in_the_way))
    run = lab.run()
    assert run.code == 0, run
    assert (lab.run_path / "logs").read_text() == "no folder"
    assert lab.results["counts"]["n_scored"] == 4
