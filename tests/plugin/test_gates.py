"""Gates, from the command line to the exit code."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

ROWS = [{"question": f"q{i}", "answer": "A" if i % 3 else "B"} for i in range(30)]


@pytest.fixture
def task(pytester, write_task):
    """Thirty documents, of which the dummy model, which says A, gets twenty right."""
    return write_task(pytester.path / "tasks", "t", ROWS)


@pytest.fixture
def baseline(task, run, run_folder):
    """A finished run of that task."""
    assert run(task).ret == 0
    return run_folder()


def worse(*arguments):
    """Arguments for a model that is always wrong."""
    return [*arguments, "--lmms-model-args", "response=C"]


def test_a_run_against_itself_passes(task, baseline, run, results_of):
    result = run(task, "--lmms-baseline", baseline, "--lmms-fail-on-regression")
    assert result.ret == 0
    result.assert_outcomes(passed=31)
    result.stdout.fnmatch_lines(["PASS*t/exact_match: 1pt and p<0.01 and within 5pt*0.6667 -> 0.6667*n=30*"])
    gates = results_of()["gates"]
    assert (gates["failed"], gates["verdicts"][0]["outcome"]) == (0, "pass")


def test_a_regression_fails_the_run_and_names_its_documents(pytester, task, baseline, run, results_of):
    xml = pytester.path / "junit.xml"
    result = run(task, *worse("--lmms-baseline", baseline, "--lmms-fail-on-regression", "--junitxml", xml))
    assert result.ret == 1
    result.assert_outcomes(passed=30, failed=1)
    result.stdout.fnmatch_lines(["*20 documents got worse, 0 better*", "*tasks/t.yaml::t?1?"])
    (verdict,) = results_of()["gates"]["verdicts"]
    assert verdict["outcome"] == "fail"
    assert verdict["turned_worse"] == [f"tasks/t.yaml::t[{i}]" for i in range(30) if i % 3]
    cases = ET.parse(xml).getroot().findall(".//testcase")
    (gate,) = [c for c in cases if c.get("classname") == "gates.t"]
    assert "20 documents got worse" in (gate.find("failure").text or "")
    again = run(*(f"{pytester.path}/{n}" for n in verdict["turned_worse"][:2]))
    again.assert_outcomes(passed=2)


JACCARD = """
def keep(doc, results):
    return {"jaccard": (results[0], doc["answer"])}

def total(items):
    items = [(set(a), set(b)) for a, b in items]
    return sum(len(a & b) for a, b in items) / sum(len(a | b) for a, b in items)
"""


def test_what_the_tasks_own_code_aggregates_is_judged_by_resampling(pytester, write_task, run, run_folder, results_of):
    entry = {"metric": "jaccard", "aggregation": "!function utils.total", "higher_is_better": True}
    task = write_task(pytester.path / "tasks", "t", ROWS, code=JACCARD,
                      process_results="!function utils.keep", metric_list=[entry])  # fmt: skip
    assert run(task).ret == 0
    judged = ["--lmms-baseline", run_folder(), "--lmms-fail-on-regression"]
    assert run(task, *judged).ret == 0
    assert run(task, *worse(*judged)).ret == 1
    (verdict,) = results_of()["gates"]["verdicts"]
    assert (verdict["outcome"], verdict["test"]) == ("fail", "paired bootstrap")


def test_workers_do_not_change_a_verdict(pytester, task, baseline):
    args = [task, "-n2", "--lmms-model", "dummy", "--lmms-data", "mini"]
    args += worse("--lmms-baseline", baseline, "--lmms-fail-on-regression", "exact_match:2%")
    result = pytester.runpytest_subprocess(*map(str, args))
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL*t/exact_match: 2%*n=30", "*30 passed*"])
    result.stdout.fnmatch_lines(["*tasks/t.yaml::t?1?"])


def test_failed_gates_are_not_remembered_as_tests(task, baseline, run):
    run(task, *worse("--lmms-baseline", baseline, "--lmms-fail-on-regression", "2%"))
    result = run(task, "--lf")
    result.assert_outcomes(passed=30)
    result.stdout.no_fnmatch_line("*gates/*")


@pytest.mark.parametrize(("least", "code"), [("0.6", 0), ("0.7", 1)])
def test_a_least_value_decides_the_exit_code(task, run, least, code):
    result = run(task, "--lmms-fail-under", f"exact_match={least}")
    assert result.ret == code
    result.stdout.fnmatch_lines([f"{'FAIL' if code else 'PASS'}*t/exact_match >= {least}*"])


def test_a_baseline_alone_shows_differences_and_fails_nothing(task, baseline, run):
    result = run(task, *worse("--lmms-baseline", baseline))
    assert result.ret == 0
    result.stdout.fnmatch_lines(["FAIL*0.6667 -> 0 *", "Differences are shown only*"])


def test_a_saved_baseline_is_found_by_name(pytester, task, run):
    result = run(task, "--lmms-save-baseline", "main")
    result.stdout.fnmatch_lines(["*saved as baseline main: .lmms/baselines/main/*"])
    shutil.rmtree(pytester.path / "results")
    assert run(task, "--lmms-baseline", "last:main", "--lmms-fail-on-regression").ret == 0


def test_a_run_that_fails_is_not_saved(pytester, task, run):
    result = run(task, "--lmms-save-baseline", "main", "--lmms-fail-under", "exact_match=1")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*not saved as baseline main: the run failed*"])
    assert not (pytester.path / ".lmms").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lmms-fail-on-regression", "2%"], "*needs something to compare with*"),
        (["--lmms-baseline", "nowhere"], "*no such path: nowhere*"),
        (["--lmms-baseline", "last:main"], "*no baseline 'main'*"),
        (["--lmms-fail-under", "exact_match"], "*METRIC=VALUE*"),
        (["--lmms-fail-under", "exact_mach=1"], "*did you mean: exact_match?*"),
        (["--lmms-fail-under", "u/exact_match=1"], "*no task 'u' in this run*"),
        (["--lmms-fail-under", "exact_match@strict=1"], "*no task of this run has a filter 'strict'*"),
        (["--lmms-fail-under", "acc@0.5=1"], "*no task of this run has a metric 'acc@0.5'*"),
        (["--lmms-save-baseline", "x", "--no-lmms-log-samples"], "*documents can only be compared when*"),
    ],
)
def test_gates_that_cannot_be_judged_are_refused_before_anything_runs(task, run, pytester, arguments, message):
    result = run(task, *arguments)
    assert result.ret == 4
    (result.stderr if "ERROR" in result.stderr.str() else result.stdout).fnmatch_lines([message])
    assert not list(pytester.path.glob("results/*/results.json"))


def test_workers_refuse_a_gate_that_cannot_be_judged_before_a_model_is_loaded(pytester, task):
    pytester.makeconftest("import pytest\n@pytest.fixture(scope='session')\ndef lmms_model():\n    open('loaded', 'w')")
    result = pytester.runpytest_subprocess(task, "-n2", "--lmms-data", "mini", "--lmms-fail-under", "exact_mach=1")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*no task of this run has a metric 'exact_mach'", "*did you mean: exact_match?"])
    assert not (pytester.path / "loaded").exists()
    assert not (pytester.path / "results").exists()


def test_a_group_has_no_documents_to_compare(pytester, task, run, run_folder):
    (pytester.path / "tasks" / "both.yaml").write_text(
        "group: both\ntask: [t]\naggregate_metric_list:\n  - metric: exact_match\n"
    )
    assert run("tasks/both.yaml", "--lmms-fail-under", "both/exact_match=0.5").ret == 0
    gate = ["--lmms-baseline", run_folder(), "--lmms-fail-on-regression", "both/exact_match:1pt"]
    result = run("tasks/both.yaml", *gate)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*group both has no documents to compare", "*name its tasks*"])


def test_runs_that_asked_otherwise_fail_loudly(task, baseline, run):
    result = run(task, "--lmms-gen-kwargs", "max_new_tokens=3", "--lmms-baseline", baseline,
                 "--lmms-fail-on-regression", "90%")  # fmt: skip
    assert result.ret == 1
    result.stdout.fnmatch_lines(["NOT JUDGED*gen_kwargs differs*"])


def test_gates_of_a_task_judge_complete_runs(pytester, write_task, run, results_of):
    task = write_task(pytester.path / "tasks", "t", ROWS, gates=[{"metric": "exact_match", "fail_under": 0.9}])
    result = run(task)
    assert result.ret == 1
    assert results_of()["gates"]["verdicts"][0]["where"].endswith("t.yaml:9")
    result = run(task, "--lmms-limit", 4)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*1 gate of task YAMLs not judged: only complete runs are (limit 4, offset 0)*"])


def test_a_wrong_gate_of_a_task_is_told_with_its_line(pytester, write_task, run):
    task = write_task(pytester.path / "tasks", "t", ROWS, gates=[{"metric": "exact_mach", "fail_under": 0.9}])
    result = run(task)
    result.stdout.fnmatch_lines(["*t.yaml:9: a gate of task t is about a metric 'exact_mach'*"])


def test_a_run_that_is_cut_short_is_not_judged(pytester, task, run):
    pytester.makeconftest(
        "import pytest\n"
        "def pytest_runtest_logreport(report):\n"
        "    if report.nodeid.endswith('t[5]'):\n"
        "        pytest.exit('enough', 2)\n"
    )
    result = run(task, "--lmms-fail-under", "exact_match=1")
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*1 gate not judged: the run was cut short*"])


def test_a_project_with_gates_in_its_ini_file_still_runs_its_other_tests(pytester):
    pytester.makeini("[pytest]\nlmms_baseline = last:main\nlmms_fail_on_regression = 2%\nlmms_log_to = nothing\n"
                     "lmms_output_path = nosuch://x\n")  # fmt: skip
    path = pytester.makepyfile("def test_it():\n    assert True\n")
    assert pytester.runpytest_inprocess(path).ret == 0


def test_github_gets_a_table(pytester, task, baseline, run, monkeypatch):
    page = pytester.path / "summary.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    run(task, *worse("--lmms-baseline", baseline, "--lmms-fail-on-regression"))
    text = page.read_text()
    assert text.startswith("before\n### Gates: 1 of 1 failed\n")
    assert "| ❌ fail | t/exact_match" in text
    assert "tasks/t.yaml::t[1]" in text


def test_an_inconclusive_gate_fails_nothing_and_is_a_skipped_test_case(pytester, write_task, run, run_folder):
    task = write_task(pytester.path / "tasks", "t", ROWS)
    run(task, "--lmms-model-args", "response=A", "--lmms-limit", 5)
    xml = pytester.path / "junit.xml"
    result = run(task, "--lmms-limit", 5, *worse("--lmms-baseline", run_folder(), "--lmms-fail-on-regression",
                                                 "p<0.01 and within 5pt", "--junitxml", xml))  # fmt: skip
    assert result.ret == 0
    result.stdout.fnmatch_lines(["INCONCLUSIVE*documents would decide", "*1 inconclusive*"])
    (skipped,) = ET.parse(xml).getroot().findall(".//skipped")
    assert "neither shown nor ruled out" in skipped.get("message", "")


def test_a_baseline_is_read_where_tasks_are_named_and_nothing_lies_in_the_folder(tmp_path):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--lmms-tasks=mme", "--lmms-data=mini"]
    done = subprocess.run(
        [*command, "--lmms-model=dummy", "--lmms-baseline=nowhere"], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stdout
    assert "nowhere" in done.stderr
