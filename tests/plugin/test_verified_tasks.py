"""Verifiers named in a task's YAML, end to end."""

from __future__ import annotations

import json
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="programs are confined on Linux only")
ROWS = [{"question": f"Add {n}.", "answer": f"def add(x):\n    return x + {n}", "test": f"assert add(1) == {1 + n}"}
        for n in range(4)]  # fmt: skip
SAID = [
    "```python\ndef add(x):\n    return x + 0\n```", "def add(x):\n    return x", "while True: pass",
    "import os\nos._exit(0)",
]  # fmt: skip


@pytest.fixture
def written(pytester, write_task):
    metrics = [
        {"metric": "code_passes", "tests": "{{test}}", "seconds": 1},
        {"metric": "format_matches", "pattern": "```python\n.*```"},
    ]
    write_task(pytester.path / "adding", "adding", ROWS, metric_list=metrics)
    said = {f"adding[{n}]": text for n, text in enumerate(SAID)}
    (pytester.path / "said.json").write_text(json.dumps(said))


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_programs_are_scored_by_the_tests_of_their_documents(pytester, run, results_of, records_of, written, workers):
    done = run("adding", "--lmms-model-args=file=said.json", *workers, model="scripted")
    assert done.ret == 0
    results = results_of()["results"]["adding"]
    assert results["code_passes,none"] == 0.25
    assert results["code_passes_stderr,none"] == pytest.approx(0.25)
    assert results["format_matches,none"] == 0.25
    details = [record["code_passes"]["detail"] for record in records_of("adding")]
    assert details[0] == ""
    assert details[1].startswith("AssertionError")
    assert details[2] == "no end within 1 s"
    assert "without a word" in details[3]


def test_repeats_give_pass_at_k(pytester, run, results_of, write_task):
    metrics = [{"metric": "code_passes", "tests": "{{test}}"}]
    write_task(pytester.path / "adding", "adding", ROWS, metric_list=metrics, repeats=2)
    done = run("adding", "--lmms-limit=1", "--lmms-model-args=default='def add(x): return x'", model="scripted")
    assert done.ret == 0
    assert results_of()["results"]["adding"]["code_passes_pass@2,none"] == 1.0


def test_the_shipped_benchmark_runs_programs_against_its_rows_tests(run, results_of, tmp_path):
    said = {"humaneval_v[0]": "Here:\n```python\ndef solution(n):\n    return 3 * n\n```"}
    (tmp_path / "said.json").write_text(json.dumps(said))
    arguments = f"--lmms-model-args=file={tmp_path / 'said.json'},default=No idea"
    done = run("--lmms-tasks=humaneval_v", arguments, model="scripted")
    assert done.ret == 0
    assert results_of()["results"]["humaneval_v"]["code_passes,none"] == 0.25
