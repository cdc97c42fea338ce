"""`pytest-lmms eval`: lmms-eval's flags, pytest's arguments, and questions in a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_lmms.cli import eval as eval_command

ROOT = Path(__file__).resolve().parents[2]


def environment():
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}


def started(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "pytest_lmms", *words], cwd=folder, env=environment(), capture_output=True, text=True,
        check=False, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("command", [["eval"], []], ids=["eval", "a leading dash"])
def test_a_command_of_lmms_eval_evaluates(tmp_path, command):
    words = ["--model", "dummy", "--model_args", "response=Yes", "--tasks", "mme", "--limit", "2", "-b", "2"]
    done = started(tmp_path, *command, *words, "--timezone", "UTC", "--lmms-data=mini", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mme[1] SCORED" in done.stdout
    assert "--timezone: times carry their offset" in done.stderr
    assert (tmp_path / "results").is_dir()


def test_the_exit_code_is_that_of_pytest(tmp_path):
    assert started(tmp_path, "eval", "--model", "dummy", "--tasks", "nothing-has-this-name").returncode == 4


def test_a_flag_that_does_not_exist_here_is_refused_before_pytest_starts(run):
    code, out, err = run("eval", "--model", "dummy", "--write_out")
    assert (code, out) == (4, "")
    assert "pytest-lmms tasks inputs NAME" in err


@pytest.mark.parametrize("words", [["--tasks", "--limit", "2"], ["--limit"]])
def test_a_flag_without_its_value_is_refused(run, words):
    code, _, err = run("eval", "--model", "dummy", *words)
    assert code == 4
    assert f"{words[0]}: a value is missing" in err


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_about_this_command(run, word):
    code, out, _ = run("eval", word)
    assert code == 0
    assert out.startswith("usage: pytest-lmms eval")


def test_without_a_terminal_and_without_arguments_it_says_how_to_call_it(tmp_path):
    done = started(tmp_path, "eval")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: pytest-lmms eval")


# --- in a terminal ------------------------------------------------------------------------------------------------


class Terminal:
    """A process in a terminal of its own."""

    def __init__(self, folder, *words):
        self.screen, other = pty.openpty()
        command = [sys.executable, "-m", "pytest_lmms", *words]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdin=other, stdout=other, stderr=other, start_new_session=True
        )
        os.close(other)
        self.text = ""

    def read_until(self, pattern, seconds=60):
        deadline = time.monotonic() + seconds
        start = len(self.text)
        while not re.search(pattern, self.text[start:]):
            assert time.monotonic() < deadline, self.text
            if not self._read():
                break
        assert re.search(pattern, self.text[start:]), self.text

    def _read(self):
        if not select.select([self.screen], [], [], 0.1)[0]:
            return True
        try:
            read = os.read(self.screen, 4096)
        except OSError:  # the other end is closed
            return False
        self.text += read.decode(errors="replace")
        return bool(read)

    def type(self, text):
        os.write(self.screen, text.encode())

    def end(self):
        while self._read():
            pass
        os.close(self.screen)
        return self.process.wait(60)


def test_in_a_terminal_it_asks_prints_the_command_and_runs_it(tmp_path):
    terminal = Terminal(tmp_path, "eval")
    terminal.read_until(r"Model .*\[tiny_vlm\]: ")
    terminal.type("dumy\n")
    terminal.read_until(r"did you mean: dummy\?[\s\S]*\[tiny_vlm\]: ")
    terminal.type("?\n")
    terminal.read_until(r"  huggingface[\s\S]*\[tiny_vlm\]: ")
    terminal.type("dummy\n")
    terminal.read_until(r"Its arguments.*: ")
    terminal.type("?\n")
    terminal.read_until(r"  response=A[\s\S]*Its arguments.*: ")
    terminal.type("respnse=Yes\n")
    terminal.read_until(r"did you mean: response\?[\s\S]*Its arguments.*: ")
    terminal.type("response=Yes\n")
    terminal.read_until(r"Tasks.*\[mme\]: ")
    terminal.type("mmee\n")
    terminal.read_until(r"did you mean: mme\?[\s\S]*\[mme\]: ")
    terminal.type("\n")
    terminal.read_until(r"Data.*\[mini\]: ")
    terminal.type("\n")
    terminal.read_until(r"Documents.*\[8\]: ")
    terminal.type("lots\n")
    terminal.read_until(r"no limit[\s\S]*\[8\]: ")
    terminal.type("3\n")
    assert terminal.end() == 0, terminal.text
    command = (
        "pytest --lmms-model=dummy --lmms-model-args=response=Yes --lmms-tasks=mme --lmms-data=mini --lmms-limit=3"
    )
    assert command in terminal.text
    assert "3 passed" in terminal.text


def test_a_terminal_that_is_closed_ends_the_questions(tmp_path):
    terminal = Terminal(tmp_path, "eval")
    terminal.read_until(r"\[tiny_vlm\]: ")
    terminal.type("\x04")
    assert terminal.end() == 4
    assert "the terminal was closed" in terminal.text


def test_every_question_has_an_answer_that_can_be_used(monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "")
    assert eval_command.ask() == [
        "--lmms-model=tiny_vlm", "--lmms-tasks=mme", "--lmms-data=mini", "--lmms-limit=8"
    ]  # fmt: skip
