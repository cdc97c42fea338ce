"""`--lmms-config` in a session: the environment, workers, lists of runs."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
import types
import xml.etree.ElementTree as ET

import pytest
from run_helpers import Lab, lab  # noqa: F401

BASE = "tasks: toy\ntask_paths: bench\ndata: mini\n"


@pytest.fixture
def toy(write_task, pytester):
    write_task(pytester.path / "bench", "toy", 3)
    return pytester.path


@pytest.fixture
def config(toy):
    def config(text):
        (toy / "exp.yaml").write_text(text)
        return "--lmms-config=exp.yaml"

    return config


def plain(pytester, *arguments):
    return pytester.runpytest_inprocess(*arguments)


# --- one run ------------------------------------------------------------------------------------------------------


def test_a_file_says_everything_that_a_run_needs(pytester, config, results_of):
    result = plain(pytester, config(BASE + "model: dummy\nlimit: 2\nmodel_args: {response: B}\n"))
    assert result.ret == 0
    results = results_of()
    assert results["n-samples"]["toy"]["effective"] == 2
    assert results["config"]["model_args"] == {"response": "B"}
    result.stdout.fnmatch_lines(["lmms: model dummy, response=B (from */exp.yaml:4)*"])


def test_the_command_line_wins_over_the_file(pytester, config, results_of):
    assert plain(pytester, config(BASE + "model: nobody\nlimit: 2\n"), "--lmms-model=dummy", "--lmms-limit=-1").ret == 0
    assert results_of()["n-samples"]["toy"]["effective"] == 3


def test_the_file_may_be_named_in_the_ini_and_lies_beside_it(pytester, config, toy):
    config(BASE + "model: dummy\n")
    (toy / "pytest.ini").write_text("[pytest]\nlmms_config = exp.yaml\n")
    (toy / "below").mkdir()
    os.chdir(toy / "below")
    result = plain(pytester, "--lmms-task-paths=../bench")
    assert result.ret == 0
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "*exp.yaml: this file is empty"),
        ("model: dummy\nlimit: [1]\n", "*exp.yaml:2: limit is a list"),
        ("modle: dummy\n", "*exp.yaml:1: 'modle', did you mean: model?"),
        ("model: dummy\nenv: {A: '${LMMS_NOT_SET}'}\n", "*exp.yaml:2: the variable LMMS_NOT_SET is not set"),
        (BASE + "model: dummyy\n", "*did you mean: dummy?"),
        (BASE + "model: dummy\nmodel_args: {answer: x}\n", "*exp.yaml:5: the model 'dummy' has no argument 'answer'"),
        (BASE + "model: dummy\ngen_kwargs: {temprature: 1}\n", "*exp.yaml:5: *temprature*"),
        ("- model: dummy\n- modle: dummy\n", "*exp.yaml:2: 'modle', did you mean: model?"),
    ],
)
def test_a_mistake_in_the_file_is_a_usage_error_before_anything_runs(pytester, config, toy, text, said):
    result = plain(pytester, config(text))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (result.stderr if result.stderr.lines else result.stdout).fnmatch_lines([said])
    assert not (toy / "results").exists()


def test_keys_that_do_nothing_are_told(pytester, config):
    result = plain(pytester, config(BASE + "model: dummy\ntimezone: UTC\n"))
    assert result.ret == 0
    result.stdout.fnmatch_lines(["lmms: */exp.yaml:5: timezone: times carry their offset from UTC"])


def test_a_file_without_documents_to_run_disturbs_nobody(pytester, config):
    pytester.makepyfile("def test_it():\n    pass\n")
    assert plain(pytester, config("model: dummy\n"), "test_a_file_without_documents_to_run_disturbs_nobody.py").ret == 0


# --- the environment ----------------------------------------------------------------------------------------------

SPY = """
import os, sys
HEAVY = sorted({"torch", "datasets", "huggingface_hub", "transformers"} & set(sys.modules))
AT_IMPORT = os.environ.get("LMMS_SPY")

def pytest_lmms_document_recorded(record):
    import subprocess
    code = "import os; print(os.environ['LMMS_SPY'])"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    with open("spied", "a") as file:
        print(AT_IMPORT, os.environ["LMMS_SPY"], child.stdout.strip(), HEAVY, file=file)
"""


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["in process", "-n 2"])
def test_variables_are_set_before_conftests_are_loaded_and_reach_workers_and_what_they_start(lab, workers):  # noqa: F811
    lab.task(2)
    (lab.path / "conftest.py").write_text(SPY)
    (lab.path / "exp.yaml").write_text("model: dummy\nenv:\n  LMMS_SPY: ${LMMS_SPY:-}x\n")
    run = lab.run("--lmms-config=exp.yaml", *workers)
    assert run.code == 0, run
    spied = (lab.path / "spied").read_text().splitlines()
    assert spied == ["x x x []"] * 2, "set once, not a second time in a worker"


def test_variables_are_put_back_after_the_session(pytester, config, monkeypatch):
    monkeypatch.setenv("LMMS_OLD", "before")
    path = config(BASE + "model: dummy\nenv:\n  LMMS_OLD: after\n  LMMS_NEW: new\n")
    pytester.makeconftest("import os\nassert os.environ['LMMS_OLD'] == 'after' and os.environ['LMMS_NEW'] == 'new'\n")
    assert plain(pytester, path).ret == 0
    assert os.environ["LMMS_OLD"] == "before"
    assert not {"LMMS_NEW", "PYTEST_LMMS_CONFIG_SET_BY"} & os.environ.keys()


def test_secrets_are_in_no_output(pytester, config, run_folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf-topsecret")
    text = """env:
  LMMS_API_KEY: sk-topsecret
  HF_TOKEN: ${HF_TOKEN}
  LMMS_HEADER: Bearer ${HF_TOKEN}
  LMMS_PLAIN: shown
model_args: {response: B}
model: dummy
"""
    result = plain(pytester, config(BASE + text), "-v")
    result.stdout.fnmatch_lines(
        ["Config env: LMMS_API_KEY=[*]*, HF_TOKEN=[*]*, LMMS_HEADER=[*][*][*][*][*][*][*][*], LMMS_PLAIN=shown"]
    )
    files = [p for p in run_folder().rglob("*") if p.is_file()]
    assert files
    assert "topsecret" not in str(result.stdout) + str(result.stderr) + "".join(p.read_text() for p in files)
    resolved = json.loads((run_folder() / "results.json").read_text())["config"]["resolved_cli_args"]
    assert resolved["env"]["LMMS_API_KEY"] == "********"
    assert resolved["env"]["HF_TOKEN"] == "${HF_TOKEN}"


# --- lists of runs ------------------------------------------------------------------------------------------------

MODELS = """
import json, os, sys
import pytest
from pytest_lmms.records import Response

class Model:
    def __init__(self, *, answer="A", num_wrong=0, megabytes=0, crash=False):
        self.answer, self.num_wrong, self.crash = answer, num_wrong, crash
        with open("made", "a") as file:
            print(os.getpid(), memory(), os.environ.get("LMMS_RUN"), file=file)
        self.ballast = bytearray(os.urandom(1) * (megabytes * 1000000))

    def generate(self, requests):
        if self.crash:
            os._exit(9)
        if self.answer == "fail":
            raise ValueError("no")
        return [Response(text="B" if r.doc_id < self.num_wrong else self.answer) for r in requests]

def memory():
    line = next(l for l in open("/proc/self/status") if l.startswith("VmRSS"))
    return int(line.split()[1]) // 1000

def pytest_lmms_register_models(register):
    register("mine", "./conftest.py:Model")
"""

TWO = """- model: mine
  model_args: {answer: A, megabytes: 300}
  env: {LMMS_RUN: one}
  output_path: results/one
- model: dummy
  model_args: {response: B}
  output_path: results/two
- model: mine
  model_args: {answer: B}
  output_path: results/three
"""


@pytest.fixture
def runs(lab):  # noqa: F811
    lab.task(3)
    (lab.path / "conftest.py").write_text(MODELS)

    def runs(text, *arguments):
        (lab.path / "exp.yaml").write_text(text)
        return lab.run("--lmms-config=exp.yaml", *arguments)

    runs.lab = lab
    return runs


def results_below(path):
    (found,) = path.glob("*/results.json")
    return json.loads(found.read_text())


def test_a_list_is_one_process_and_one_folder_a_run_and_one_table(runs):
    run = runs(TWO, "-v", "--junitxml=all.xml")
    lab = runs.lab  # noqa: F811
    assert run.code == 0, run
    values = [results_below(lab.path / "results" / n)["results"]["toy"] for n in ("one", "two", "three")]
    assert [v["exact_match,none"] for v in values] == [1.0, 0.0, 0.0]
    for label in ("mine_1", "dummy", "mine_3"):
        assert f"bench/toy.yaml::toy[{label}-2] SCORED" in run.output
    table = run.output[run.output.rindex("Run ") :]
    assert [line.split()[0] for line in table.splitlines()[2:5]] == ["mine_1", "dummy", "mine_3"]
    assert "dummy: exit code 0, results/two/" in table
    names = [case.get("name") for case in ET.parse(lab.path / "all.xml").iter("testcase")]
    assert names == [f"toy[{label}-{i}]" for label in ("mine_1", "dummy", "mine_3") for i in range(3)]
    first, second = [line.split() for line in (lab.path / "made").read_text().splitlines()]
    assert first[0] != second[0], "a process each"
    assert int(second[1]) < int(first[1]) + 100, "the first run's 300 MB are given back"
    assert [first[2], second[2]] == ["one", "None"], "variables of a run stay in it"


def test_a_run_that_dies_leaves_the_others_alone_and_the_worst_exit_code_wins(runs):
    run = runs("- model: mine\n  model_args: {crash: true}\n- model: nobody\n- model: dummy\n")
    assert run.code == 3, run
    assert "mine: exit code 9, results/" in run.output
    assert "nobody: exit code 4, no run folder" in run.output
    assert "dummy: exit code 0, results/" in run.output


WORSE = """- model: mine
  model_args: {{num_wrong: {first}}}
  baseline: last:main
  fail_on_regression: default
- model: mine
  model_args: {{num_wrong: {second}}}
  baseline: last:main
  fail_on_regression: default
  fail_under: exact_match=0.4
"""


def test_the_gates_of_a_list_are_one_family_and_one_table(runs):
    runs.lab.task(20)
    assert runs("model: mine", "--lmms-save-baseline=main").code == 0
    alone = runs(WORSE.format(first=6, second=0), "--lmms-config=exp.yaml#1")
    assert alone.code == 1, alone  # p = 1/128
    assert "FAILED gates/toy::toy/exact_match: 1pt and p<0.01 and within 5pt" in alone.output
    together = runs(WORSE.format(first=6, second=0))
    assert together.code == 0, together  # 2/128: two runs have a baseline
    table = together.output[together.output.rindex("Run ") :].splitlines()
    assert [line.split()[:2] for line in table[2:4]] == [["mine_1", "INCONCLUSIVE"], ["mine_2", "PASS"]]
    assert "  toy/exact_match: 1pt and p<0.01 and within 5pt  " in table[3]
    assert "  toy/exact_match >= 0.4 " in table[4]
    assert table[5] == "0 of 3 gates failed; p values are corrected for 2 runs with a baseline"
    worse = runs(WORSE.format(first=10, second=0))
    assert worse.code == 1, "the worst exit code wins"
    assert "1 of 3 gates failed" in worse.output
    assert "mine_1: exit code 1" in worse.output
    assert "mine_2: exit code 0" in worse.output


def test_every_run_has_fresh_workers(runs):
    run = runs("- model: mine\n- model: mine\n", "-n1")
    assert run.code == 0, run
    made = [line.split()[0] for line in (runs.lab.path / "made").read_text().splitlines()]
    assert len(made) == len(set(made)) == 2
    assert run.output.count("3 passed") == 2


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        (["bench/toy.yaml::toy[dummy-1]"], {"dummy"}),
        (["bench/toy.yaml::toy[mine_1-1]", "bench/toy.yaml::toy[mine_3-0]"], {"mine_1", "mine_3"}),
    ],
)
def test_pasted_ids_start_the_runs_that_they_name(runs, arguments, labels):
    run = runs(TWO, *arguments, "-v")
    assert run.code == 0, run
    for label in ("mine_1", "dummy", "mine_3"):
        assert bool(re.search(rf"toy\[{label}-\d\] SCORED", run.output)) == (label in labels)
        assert f"{label}: {'exit code 0' if label in labels else 'not run'}" in run.output


def test_a_keyword_may_name_a_run(runs):
    run = runs(TWO, "-k", "mine_3", "-v")
    assert run.code == 0, run
    assert "toy[mine_3-0] SCORED" in run.output
    assert "toy[dummy" not in run.output


def test_one_run_of_a_list_is_named_by_its_number(runs):
    (runs.lab.path / "exp.yaml").write_text(TWO)
    run = runs.lab.run("--lmms-config=exp.yaml#2", "-v")
    assert run.code == 0, run
    assert "toy[dummy-0] SCORED" in run.output
    assert not (runs.lab.path / "results/one").exists()
    assert "there is no run 4" in runs.lab.run("--lmms-config=exp.yaml#4").output


def test_listing_needs_no_run(pytester, config):
    result = plain(pytester, config(TWO), "--lmms-list", "models")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*dummy*"])


def test_ending_the_parent_ends_the_run_in_hand_and_starts_no_other(lab):  # noqa: F811
    lab.task(50)
    lab.plan(seconds=0.2)
    (lab.path / "exp.yaml").write_text("- limit: 50\n- limit: 50\n")
    process = lab.start("--lmms-config=exp.yaml")
    lab.wait_until_asked(1)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGTERM)
    run = lab.finish(process, timeout=60)
    assert run.code == 2, run
    assert "run_2: not run" in run.output
    assert lab.status == "interrupted"


def test_a_task_may_be_named_by_its_file(pytester, config, results_of):
    result = plain(pytester, config("model: dummy\ndata: mini\ntasks: [bench/toy.yaml, mme]\nlimit: 1\n"))
    assert result.ret == 0
    assert set(results_of()["results"]) == {"toy", "mme"}
    result = plain(pytester, "--lmms-model=dummy", "--lmms-tasks=bench/nothing.yaml")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--lmms-tasks: no such file", "*bench/nothing.yaml"])


def test_variables_that_come_too_late_are_told(pytester, config, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    result = plain(pytester, config(BASE + "model: dummy\nenv: {CUDA_VISIBLE_DEVICES: '0'}\n"))
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*torch was imported before CUDA_VISIBLE_DEVICES could be set*"])


def test_last_failed_runs_what_failed_in_the_run_where_it_failed(runs):
    text = "- {model: mine, model_args: {answer: A}}\n- {model: mine, model_args: {answer: fail}}\n- {model: dummy}\n"
    first = runs(text)
    assert first.code == 1, first
    again = runs(text, "--lf", "-v")
    assert again.code == 1, again
    failed = re.findall(r"toy\[(\w+)-\d\] ERROR", again.output)
    assert set(failed) == {"mine_2"}
    assert "mine_1: not run" in again.output
    assert "dummy: not run" in again.output
