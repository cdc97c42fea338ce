"""Where a run writes: told before anything is loaded when that cannot be done."""

from __future__ import annotations

import os

import pytest

from pytest_lmms.errors import UsageError
from pytest_lmms.plugin.places import check_place


@pytest.fixture
def task(pytester, write_task):
    """Three documents."""
    return write_task(pytester.path / "tasks", "t")


@pytest.mark.parametrize("option", ["--lmms-output-path", "--lmms-cache", "--lmms-video-cache"])
@pytest.mark.parametrize("place", ["file", "file/runs", "/dev/null/runs"])
def test_a_place_below_a_file_is_refused_before_a_document_is_asked(pytester, task, run, option, place):
    (pytester.path / "file").write_text("mine")
    result = run(task, option, place)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{option}: */{'null' if 'null' in place else 'file'} is no folder"])
    result.stdout.no_fnmatch_line("*passed*")
    assert (pytester.path / "file").read_text() == "mine"


def test_an_empty_name_is_refused(task, run):
    result = run(task, "--lmms-output-path=")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--lmms-output-path: an empty name"])


def test_what_only_looks_at_documents_needs_no_place(pytester, task, run):
    (pytester.path / "file").write_text("mine")
    for option in ("--collect-only", "--lmms-dry-run"):
        assert run(task, "--lmms-output-path", "file", option).ret == 0


@pytest.mark.parametrize("option", ["--collect-only", "--lmms-dry-run"])
def test_looking_at_the_documents_of_a_finished_run_leaves_it_as_it_is(task, run, run_folder, option):
    run(task)
    files = {p: p.read_bytes() for p in run_folder().rglob("*") if p.is_file()}
    assert run(task, "--lmms-resume", option).ret == 0
    assert {p: p.read_bytes() for p in run_folder().rglob("*") if p.is_file()} == files


def test_a_run_that_cannot_go_on_keeps_its_results(pytester, task, run, run_folder):
    run("tasks")
    results = (run_folder() / "results.json").read_bytes()
    pytester.path.joinpath("tasks", "test_more.py").write_text("import nowhere_to_be_found")
    assert run("tasks", "--lmms-resume").ret == 2
    assert (run_folder() / "results.json").read_bytes() == results


def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # for root, everything may be written to
    with pytest.raises(UsageError, match="may not be written to"):
        check_place(str(tmp_path / "a" / "b"), "--lmms-output-path")


def test_a_link_to_nowhere_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match="link is no folder"):
        check_place(str(tmp_path / "link" / "runs"), "--lmms-output-path")


def test_a_folder_that_is_not_there_yet_is_not_made_either(tmp_path):
    check_place(str(tmp_path / "a" / "b"), "--lmms-output-path")
    assert not (tmp_path / "a").exists()
