"""Gates of a config file."""

from __future__ import annotations

ROWS = [{"question": f"q{i}", "answer": "A" if i % 3 else "B"} for i in range(30)]


def test_a_config_file_holds_gates_as_texts_and_lists(pytester, write_task, run, run_folder):
    write_task(pytester.path / "tasks", "t", ROWS)
    config = pytester.path / "exp.yaml"
    config.write_text("model: dummy\ndata: mini\ntask_paths: tasks\ntasks: t\nsave_baseline: main\n")
    arguments = ["--lmms-config", config]
    result = run(*arguments, model=None, data=None)
    assert result.ret == 0, result.stdout
    config.write_text(
        "model: dummy\nmodel_args: {response: C}\ndata: mini\ntask_paths: tasks\ntasks: t\nbaseline: last:main\n"
        "fail_on_regression: [2%, 't/exact_match: p<0.05']\nfail_under: exact_match=0.1\n"
    )
    result = run(*arguments, model=None, data=None)
    assert result.ret == 1
    result.assert_outcomes(passed=30, failed=3)
    result.stdout.fnmatch_lines(["*demanded by *exp.yaml:7: 2%", "*demanded by *exp.yaml:8: exact_match=0.1"])
