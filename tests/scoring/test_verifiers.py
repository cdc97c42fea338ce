"""A model's program is run, and can do little else than compute; answers are compared by value and by form."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from pytest_lmms.errors import TaskError
from pytest_lmms.scoring.metrics import METRICS, use_metric
from pytest_lmms.scoring.metrics.aggregations import mean
from pytest_lmms.scoring.verifiers.checks import code_of, code_passes, format_matches, math_equals
from pytest_lmms.scoring.verifiers.confined import MAX_OUTPUT_BYTES, run_python

only_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="seccomp and Landlock are Linux's")

FORGERY = (
    'import os\nfor n in range(3, 64):\n  try: os.write(n, b\'{"exited": 0, "ended": true}\')\n'
    "  except OSError: pass\nos._exit(0)"
)

# --- programs that behave --------------------------------------------------------------------------------------


@only_linux
def test_a_program_computes_prints_reads_and_writes_in_its_own_folder():
    source = (
        "import json, math, pathlib, threading\n"
        "a, b = map(int, input().split())\n"
        "pathlib.Path('notes').write_text(str(a + b))\n"
        "thread = threading.Thread(target=print, args=(pathlib.Path('notes').read_text(),))\n"
        "thread.start()\nthread.join()\n"
    )
    ran = run_python(source, stdin="2 3\n")
    assert (ran.ended, ran.exit_code, ran.detail, ran.output) == (True, 0, "", "5\n")


@only_linux
def test_libraries_can_be_used():
    assert run_python("import numpy\nprint(int(numpy.ones((2, 3)).sum()))").output == "6\n"


@only_linux
def test_what_stops_a_program_is_told_with_its_line():
    ran = run_python("x = 1\nassert x == 2, 'no'")
    assert not ran.ended
    assert ran.detail == "AssertionError: no (line 2)"
    assert "SyntaxError" in run_python("def f(:").detail


@only_linux
@pytest.mark.parametrize(("source", "detail"), [("pass", ""), ("while True: pass", "no end within 1 s")])
def test_an_end_is_seen_where_the_kernel_does_not_tell_it(
    source: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_pid: int) -> int:
        raise OSError

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert run_python(source, seconds=1).detail == detail


# --- programs that do not --------------------------------------------------------------------------------------


@only_linux
@pytest.mark.parametrize(
    ("source", "stopped_by"),
    [
        ("while True: pass", "no end within 1 s"),
        ("import time\ntime.sleep(1000)", "no end within 1 s"),
        ("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", "no end within 1 s"),
    ],
    ids=["endless loop", "sleep", "a loop that ignores the signal"],
)
def test_a_program_without_end_is_ended(source, stopped_by):
    started = time.monotonic()
    assert run_python(source, seconds=1).detail == stopped_by
    assert time.monotonic() - started < 60  # not a thousand seconds


@only_linux
@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import os\nwhile True: os.fork()", "PermissionError"),
        ("import subprocess\nsubprocess.run(['true'])", "PermissionError"),
        ("import os\nos.execv('/usr/bin/env', ['env'])", "PermissionError"),
        ("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()", "RuntimeError"),
        ("x = [bytearray(1 << 20) for _ in range(1 << 20)]", "MemoryError"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "PermissionError"),
        ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')", "not permitted"),
        ("while True: print('x' * 1000)", "File too large"),
        ("open('big', 'wb').write(bytes(1 << 27))", "File too large"),
        ("import os\nos.kill(os.getppid(), 9)", "PermissionError"),
        ("import resource, os\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1, 1))", "PermissionError"),
        ("import os\nopen(f'/proc/{os.getppid()}/environ').read()", "PermissionError"),
        ("open('/etc/passwd').read()", "PermissionError"),
        ("import os, pathlib\nos.listdir(pathlib.Path.cwd().parent)", "PermissionError"),
        ("import socket\nsocket.socket(socket.AF_INET6)", "PermissionError"),
        ("import socket\nsocket.socket(socket.AF_UNIX)", "PermissionError"),
        ("import socket\nsocket.getaddrinfo('localhost.example', 80)", "gaierror"),
        ("import os\nos.setsid()", "PermissionError"),
        ("import os\nos.sched_setaffinity(os.getppid(), {0})", "PermissionError"),
        ("import os\nos.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0))", "PermissionError"),
        ("import os\nos.chroot('.')", "PermissionError"),
    ],
    ids=["fork bomb", "subprocess", "exec", "thread bomb", "memory", "socket", "address", "output", "file", "kill",
         "limits", "environment", "users", "neighbours", "IPv6", "unix socket", "names", "session", "processors",
         "priority", "root"],
)  # fmt: skip
def test_a_program_gets_nothing_but_an_error(source, error):
    ran = run_python(source, seconds=5, memory_mb=512)
    assert not ran.ended
    assert error in ran.detail
    assert len(ran.output) <= MAX_OUTPUT_BYTES


@only_linux
def test_a_program_cannot_write_outside_its_folder(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    for action in ("open({!r}, 'w')", "import os; os.remove({!r})", "import os; os.truncate({!r}, 0)"):
        assert "PermissionError" in run_python(action.format(str(victim))).detail
    assert victim.read_text() == "kept"


@only_linux
def test_a_program_changes_nothing_about_files_of_the_user(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    victim.chmod(0o640)
    before = victim.stat()
    source = (
        "import os\n"
        "os.chmod({0!r}, 0o777)\nos.utime({0!r}, (0, 0))\nos.chown({0!r}, os.getuid(), os.getgid())\n"
        "os.setxattr({0!r}, 'user.x', b'1')\n"
    )
    ran = run_python(source.format(str(victim)))
    assert ran.ended, ran
    after = victim.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_mode, before.st_mtime_ns, before.st_ctime_ns,
    )  # fmt: skip


@only_linux
def test_a_program_copies_a_file_of_its_own():
    assert run_python("import shutil\nopen('a', 'w').write('x')\nshutil.copy2('a', 'b')\nprint(open('b').read())").ended


@only_linux
@pytest.mark.parametrize(
    "owner",
    [
        "r, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())",
        "r, w = os.pipe()\nfcntl.fcntl(r, 15, struct.pack('ii', 1, os.getppid()))",
        (
            "a, b = socket.socketpair()\nr, w = a.fileno(), b.fileno()\n"
            "fcntl.ioctl(r, 0x8901, struct.pack('i', os.getppid()))"
        ),
    ],
    ids=["F_SETOWN", "F_SETOWN_EX", "FIOSETOWN"],
)
def test_a_program_has_no_signal_sent_to_us_by_the_kernel(owner):
    """Whoever is told of new data may be told by SIGKILL; a process between us and the program would be."""
    source = (
        f"import fcntl, os, socket, struct, time\n{owner}\nfcntl.fcntl(r, 10, 9)\n"
        "fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)\nos.write(w, b'x')\ntime.sleep(1)\n"
    )
    code = f"from pytest_lmms.scoring.verifiers.confined import run_python\nprint(run_python({source!r}).detail)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done
    assert "PermissionError" in done.stdout


@only_linux
def test_a_program_sees_no_variable_and_no_open_file_of_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "canary-91f3")
    secret = tmp_path / "secret"
    secret.write_text("canary-91f3")
    with secret.open() as file:
        os.set_inheritable(file.fileno(), True)
        source = (
            "import os\nprint(dict(os.environ))\n"
            "for number in range(3, 200):\n"
            "    try: print(os.pread(number, 100, 0))\n"
            "    except OSError: pass\n"
        )
        ran = run_python(source)
    assert ran.ended, ran
    assert "HOME" in ran.output
    assert "canary" not in ran.output


@only_linux
@pytest.mark.parametrize(
    "source",
    [
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "raise SystemExit",
        FORGERY,
    ],
)
def test_leaving_early_passes_no_test(source):
    found = code_passes(predictions=[source], document={}, tests="assert False")
    assert found["score"] == 0.0
    assert found["detail"]


@only_linux
def test_nothing_is_left_of_a_program(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_python("import os\nos.mkdir('a')\nopen('a/b', 'w').write('x')\nos.chmod('a', 0)")
    assert list(tmp_path.iterdir()) == []


@only_linux
def test_nothing_is_left_of_folders_within_folders_that_are_locked(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    deep = "import os\nfor _ in range(1500):\n  os.mkdir('d' * 200)\n  open('f', 'w').close()\n  os.chdir('d' * 200)\n"
    try:
        assert run_python(deep + "os.symlink('/', 'x')\nos.chmod('.', 0)").ended
        assert list(tmp_path.iterdir()) == []
    finally:  # pytest could not remove it either
        subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=False)


@only_linux
def test_as_many_programs_run_at_once_as_there_are_processors():
    found = []
    threads = [threading.Thread(target=lambda: found.append(run_python("print(1)").output)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["1\n"] * 8


@only_linux
@pytest.mark.parametrize(("more", "said"), [("", "confined: false"), (", confined=False", "ran: 7")])
def test_where_a_program_cannot_be_confined_it_is_not_run_unless_the_task_says_so(more, said):
    """A process that the kernel shows another machine to has no filter of system calls."""
    code = (
        "import ctypes; ctypes.CDLL(None).personality(8)\n"
        "from pytest_lmms.scoring.verifiers.confined import run_python\n"
        f"print('ran:', run_python('print(7)'{more}).output)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert said in done.stdout + done.stderr
    assert ("UsageError" in done.stderr) == (not more)


# --- verifiers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        ("x = 1", "x = 1"),
        ("So:\n```python\nx = 1\n```\nDone.", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("```bash\npip install y\n```\n```py\nx = 1\n```\nand\n```python\ny = 2\n```", "x = 1\ny = 2"),
        ("```python\nx = 1", "x = 1"),
        ("```json\n{}\n```", "{}"),
        ("", ""),
    ],
)
def test_the_program_in_an_answer(answer, program):
    assert code_of(answer) == program


@only_linux
@pytest.mark.parametrize(
    ("answer", "score", "detail"),
    [
        ("```python\ndef double(x):\n    return 2 * x\n```", 1.0, ""),
        ("def double(x):\n    return x * x", 0.0, "AssertionError: three"),
        ("I cannot write that.", 0.0, "SyntaxError"),
        ("", 0.0, "no program"),
    ],
)
def test_code_passes_runs_the_tests_that_a_document_brings(answer, score, detail):
    document = {"test": "assert double(3) == 6, 'three'", "head": "import math"}
    found = code_passes(predictions=[answer], document=document, tests="test", before="{{head}}\nmath.pi")
    assert found["score"] == score
    assert detail in found["detail"]


@only_linux
@pytest.mark.parametrize(
    ("program", "score", "detail"),
    [
        ("print(int(input()) + 1)", 1.0, ""),
        ("print('8  ')\nprint()", 1.0, ""),
        ("import sys\nprint(8)\nsys.exit()", 1.0, ""),
        ("print(9)", 0.0, "line 1: '9', expected '8'"),
        ("print(8)\nprint(8)", 0.0, "2 lines, expected 1"),
        ("import sys\nprint(8)\nsys.exit(3)", 0.0, "exit code 3"),
    ],
)
def test_code_passes_compares_what_a_program_prints(program, score, detail):
    found = code_passes(predictions=[program], document={"given": "7\n", "wanted": 8}, stdin="given", stdout="wanted")
    assert found["score"] == score
    assert detail in found["detail"]


@only_linux
def test_the_same_program_is_run_once(monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(a) or popen(*a, **k))
    found = [code_passes(predictions=["once = 1"], document={}, tests="assert once") for _ in range(20)]
    assert {f["score"] for f in found} == {1.0}
    assert len(started) == 1


@pytest.mark.parametrize(
    ("gold", "answer", "score"), [("1/2", "0.5", 1.0), ("1/2", "$\\frac{2}{4}$", 1.0), ("3", "4", 0.0)]
)
def test_math_equals_compares_values(gold, answer, score):
    pytest.importorskip("math_verify")
    assert math_equals(references=[gold], predictions=[answer]) == score


SCHEMA = {"required": ["colour"], "properties": {"colour": {"type": "string"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("answer", "told", "score"),
    [
        ("A\nB", {"pattern": "A.B"}, 1.0),
        ("A B C", {"pattern": "A.B"}, 0.0),
        ('{"colour": "red"}', {"json_schema": SCHEMA}, 1.0),
        ('```json\n{"colour": "red"}\n```', {"json_schema": SCHEMA}, 1.0),
        ('{"colour": 3}', {"json_schema": SCHEMA}, 0.0),
        ('{"colour": "red", "size": 1}', {"json_schema": SCHEMA}, 0.0),
        ("red", {"json_schema": SCHEMA}, 0.0),
        ("[" * 100_000, {"json_schema": SCHEMA}, 0.0),
    ],
)
def test_format_matches_looks_at_the_form_alone(answer, told, score):
    assert format_matches(predictions=[answer], **told) == score


@pytest.mark.parametrize("told", [{}, {"pattern": "("}])
def test_a_form_that_is_none_is_an_error(told):
    with pytest.raises(TaskError, match="format_matches"):
        format_matches(predictions=["x"], **told)


def test_only_metrics_that_ask_for_it_are_given_the_document():
    assert use_metric("code_passes", {"tests": "x"}, where="a.yaml").sees_document
    assert not use_metric("exact_match", {}, where="a.yaml").sees_document
    assert METRICS["code_passes"].waits


def test_an_argument_that_a_verifier_does_not_have_is_told():
    with pytest.raises(TaskError, match=r"did you mean: seconds"):
        use_metric("code_passes", {"second": 3}, where="a.yaml")


def test_the_mean_of_mappings_is_that_of_their_scores():
    assert mean([{"score": 1.0, "detail": ""}, {"score": 0.0, "detail": "no"}]) == 0.5
