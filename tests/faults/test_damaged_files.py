"""Files that a run reads back, damaged on disk or written by somebody else: each is named, and nothing else is lost."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_lmms.errors import StoreError
from pytest_lmms.inference.cache import ResponseStore
from tests.results.run_files import write_run

DEEP = "[" * 100_000
"""JSON that no parser of Python follows to its end."""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_a_damaged_line_of_the_response_store_is_named_and_asked_again_alone(lab, workers):
    lab.task(8)
    options = ("--lmms-batch-size", "2", *workers)
    assert lab.run(*options).code == 0
    before = lab.records()
    file = max((lab.run_path / "responses").glob("*.jsonl"), key=lambda path: path.stat().st_size)
    lines = file.read_text().splitlines()
    lines[1] = DEEP
    file.write_text("\n".join(lines) + "\n")
    lab.forget()
    run = lab.run(*options, "--lmms-resume")
    assert run.code == 0, run
    assert f"{file}:2: this line holds no responses" in run.output.replace("\n", "")
    assert sum(lab.asked().values()) == 2
    kept = ("doc_id", "status", "filtered_resps", "exact_match")
    assert [{k: r[k] for k in kept} for r in lab.records()] == [{k: r[k] for k in kept} for r in before]


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_a_response_store_that_would_be_read_for_ever_is_an_error(tmp_path, kind):
    path = tmp_path / "a.jsonl"
    path.symlink_to("/dev/zero") if kind == "device" else os.mkfifo(path)
    with pytest.raises(StoreError, match=r"a\.jsonl: cannot be read: this is a device or a pipe"):
        ResponseStore(tmp_path, writer="w", read=True)


@pytest.mark.parametrize("before", ["--lmms-model-args", "--lmms-resume", "--lmms-fail-on-regression"])
def test_a_word_that_is_too_long_for_a_files_name_is_a_word(lab, before):
    lab.task(1)
    run = lab.run(before, "system_prompt=" + "x" * 300)
    assert "Traceback" not in run.output
    assert "File name too long" not in run.output


@pytest.mark.parametrize(
    ("option", "told"),
    [("config", "no such file"), ("baseline", "no such path"), ("output-path", "File name too long"),
     ("cache", "File name too long")],
)  # fmt: skip
def test_a_name_that_is_too_long_for_a_file_is_told_before_the_run(lab, option, told):
    lab.task(1)
    run = lab.run(f"--lmms-{option}=" + "x" * 300)
    assert (run.code, "Traceback" in run.output) == (4, False)
    assert told in run.output


@pytest.mark.parametrize("command", [("compare",), ("view", "--report")])
@pytest.mark.parametrize("line", [DEEP, "[]"], ids=["too deep", "no mapping"])
def test_a_strange_line_of_samples_is_named(tmp_path, command, line):
    run = write_run(tmp_path / "run", {"t": [1, 0, 1]})
    with (run / "samples_t.jsonl").open("a") as file:
        file.write(line + "\n")
    folders = [str(run), str(write_run(tmp_path / "other", {"t": [1, 1, 1]}))][: 2 if command == ("compare",) else 1]
    done = subprocess.run(
        [sys.executable, "-m", "pytest_lmms", *command, *folders],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "samples_t.jsonl:4: " in said
    assert "Traceback" not in said
