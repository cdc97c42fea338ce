"""Bad input gets one clear error: what, where, what was meant, what to do; and nothing is run."""

from __future__ import annotations

import pytest


@pytest.fixture
def bench(pytester):
    return pytester.path / "bench"


def usage_error(result: pytest.RunResult) -> str:
    """The text of an error that ended the session with exit code 4, without a traceback."""
    text = result.stderr.str() + result.stdout.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR, text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    return text


def collection_error(result: pytest.RunResult, *, count: int = 1) -> str:
    """The text of errors that ended collection with exit code 2, without a traceback."""
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.INTERRUPTED, text
    result.assert_outcomes(errors=count)
    assert "Traceback" not in text
    assert ".py:" not in text.replace("utils.py:", ""), "frames of the harness are shown"
    return text


# --- the command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--lmms-model", "dumy"], ["--lmms-model: unknown model 'dumy'", "did you mean: dummy?"]),
        (["--lmms-tasks", "mmee"], ["--lmms-tasks: unknown task 'mmee'", "did you mean: mme?"]),
        (["--lmms-data", "minni"], ["--lmms-data: 'minni'", "did you mean: mini?", "full, mini"]),
        (["--lmms-list", "taks"], ["did you mean: tasks?"]),
        (["--lmms-limit", "many"], ["--lmms-limit: 'many'", "a fraction below 1"]),
        (["--lmms-limit", "0"], ["--lmms-limit"]),
        (["--lmms-limit", "1.5"], ["--lmms-limit: 1.5"]),
        (["--lmms-limit", "nan"], ["--lmms-limit: nan"]),
        (["--lmms-limit", "inf"], ["--lmms-limit: inf"]),
        (["--lmms-offset", "-3"], ["--lmms-offset: -3 is negative"]),
        (["--lmms-batch-size", "0"], ["--lmms-batch-size: '0'", "auto"]),
        (["--lmms-batch-size", "atuo"], ["--lmms-batch-size: 'atuo'"]),
        (["--lmms-seed", "x"], ["--lmms-seed: 'x' is no whole number"]),
        (["--lmms-max-errors", "101%"], ["--lmms-max-errors: '101%'"]),
        (["--lmms-gen-kwargs", "temperature"], ["--lmms-gen-kwargs", "cannot read 'temperature'", "name=value"]),
        (["--lmms-gen-kwargs", "temperature=hot"], ["--lmms-gen-kwargs", "hot"]),
        (["--lmms-gen-kwargs", "until=[a"], ["--lmms-gen-kwargs", "missing"]),
        (["--lmms-gen-kwargs", "max_new_tokens=12,max_new_tokens=13"], ["--lmms-gen-kwargs", "given twice"]),
        (["--lmms-model-args", "respones=B"], ["has no argument 'respones'", "did you mean: response?"]),
        (["--lmms-reasoning-tags", "[1"], ["--lmms-reasoning-tags"]),
        (["--lmms-task-paths", "nowhere", "--lmms-tasks", "mme"], ["--lmms-task-paths: no folder 'nowhere'"]),
        (["lmms/mme/mmee.yaml::mme[1]"], ["mmee.yaml"]),
    ],
    ids=" ".join,
)
def test_a_wrong_option_ends_the_session_before_anything_runs(pytester, bench, write_task, run, arguments, expected):
    write_task(bench, "toy", 1)
    model = None if "--lmms-model" in arguments else "dummy"
    data = None if "--lmms-data" in arguments else "mini"
    text = usage_error(run("bench", *arguments, model=model, data=data))
    for part in expected:
        assert part in text
    assert not (pytester.path / "results").exists()


def test_a_wrong_ini_value_names_the_key(pytester, bench, write_task, run):
    pytester.makeini("[pytest]\nlmms_batch_size = big\n")
    write_task(bench, "toy", 1)
    assert "ini lmms_batch_size: 'big'" in usage_error(run("bench"))


def test_no_model_is_a_usage_error_that_names_three_choices(pytester, bench, write_task, run):
    write_task(bench, "toy", 3)
    text = usage_error(run("bench", model=None))
    for part in ("no model", "--lmms-model NAME", "lmms_model = NAME in the ini file", "fixture named lmms_model"):
        assert part in text
    assert not list(pytester.path.glob("results/*"))


def test_no_model_is_a_usage_error_on_pytests_own_path_too(pytester, bench, write_task, run):
    write_task(bench, "toy", 3)
    assert "--lmms-model NAME" in usage_error(run("bench", "--setup-show", model=None))


def test_a_setting_that_the_model_would_ignore_is_an_error_when_typed(bench, write_task, run, pytester):
    write_task(bench, "toy", 1)
    pytester.makeconftest(
        """
        from pytest_lmms.testing import ScriptedModel

        class Deaf(ScriptedModel):
            honours = frozenset({"max_new_tokens"})
            def __init__(self):
                raise AssertionError("must not be built")

        def pytest_lmms_register_models(register):
            register("deaf", f"{__file__}:Deaf", replace=True)
        """
    )
    text = usage_error(run("bench", "--lmms-gen-kwargs", "temperature=0.5", model="deaf"))
    assert "would ignore temperature" in text
    assert "--lmms-gen-kwargs" in text
    assert "max_new_tokens" in text


def test_model_arguments_are_checked_before_the_model_is_built(bench, write_task, run, pytester):
    write_task(bench, "toy", 1)
    pytester.makeconftest(
        """
        class Heavy:
            def __init__(self, pretrained, device="cpu"):
                print("loading weights")

        def pytest_lmms_register_models(register):
            register("heavy", f"{__file__}:Heavy", replace=True)
        """
    )
    result = run("bench", "--lmms-model-args", "pretraned=x", "-s", model="heavy")
    assert "did you mean: pretrained?" in usage_error(result)
    assert "loading weights" not in result.stdout.str()
    assert "needs the argument 'pretrained'" in usage_error(run("bench", model="heavy"))


# --- task YAMLs ---------------------------------------------------------------------------------------------------


def test_an_unknown_key_names_file_line_and_what_was_meant(bench, write_task, run):
    path = write_task(bench, "toy", 1, doc_to_texts="x")
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if "doc_to_texts" in text)
    text = collection_error(run("bench"))
    assert f"{path}:{line}: unknown field 'doc_to_texts'" in text
    assert "did you mean: doc_to_text?" in text


def test_a_task_that_does_not_parse_names_file_and_line(bench, write_task, run):
    path = write_task(bench, "toy", 1)
    path.write_text(path.read_text() + "generation_kwargs: {max_new_tokens: 3\ntag: [a\n")
    text = collection_error(run("bench"))
    assert f"{path}:" in text
    assert "does not parse" in text


def test_one_broken_task_does_not_hide_what_is_wrong_with_another(bench, write_task, run):
    write_task(bench, "toy_a", 1, output_typ="generate_until")
    write_task(bench, "toy_b", 1, repeat=2)
    text = collection_error(run("bench"), count=2)
    assert "output_type" in text
    assert "did you mean: repeats?" in text


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"output_type": "generate_untill"}, ["unknown output_type", "did you mean: generate_until?"]),
        ({"repeats": "two"}, ["repeats is 'two'", "whole number"]),
        ({"repeats": 0}, ["repeats is 0"]),
        ({"repeats": True}, ["repeats is True"]),
        ({"generation_kwargs": ["x"]}, ["generation_kwargs is ['x']", "a mapping"]),
        ({"generation_kwargs": {"max_new_tokens": "lots"}}, ["toy.yaml:", "lots"]),
        ({"full_docs": "yes please"}, ["full_docs is", "true or false"]),
        ({"test_split": None}, ["no split to evaluate"]),
        ({"tag": {"a": 1}}, ["tag is", "a name or a list of names"]),
        ({"metric_list": [{"metric": "exact_mach"}]}, ["toy.yaml:", "exact_mach", "did you mean: exact_match?"]),
        (
            {"metric_list": [{"metric": "exact_match", "aggregation": "meen"}]},
            ["toy.yaml:", "meen", "did you mean: mean?"],
        ),
        ({"metric_list": [{"aggregation": "mean"}]}, ["metric_list", "metric: name"]),
        (
            {"filter_list": [{"name": "f", "filter": [{"function": "regexx"}]}]},
            ["toy.yaml:", "regexx", "did you mean: regex?"],
        ),
        ({"doc_to_text": "qestion"}, ["no column 'qestion'", "did you mean: question?"]),
        ({"doc_to_target": "anser"}, ["no column 'anser'", "did you mean: answer?"]),
        ({"doc_to_text": "{{ question"}, ["toy.yaml:", "template does not parse"]),
        ({"doc_to_text": "Q: {{ qestion }}"}, ["doc_to_text", "qestion", "question"]),
        ({"doc_to_text": "!function utils.nowhere"}, ["toy.yaml:", "utils has no 'nowhere'"]),
        ({"doc_to_text": "!function utils.prompt_"}, ["did you mean: prompt?"]),
        ({"doc_to_text": "!function utilz.prompt"}, ["toy.yaml:", "utilz", "write utilz.py beside toy.yaml"]),
        ({"doc_to_text": "!function prompt"}, ["toy.yaml:", "!function module.name"]),
        ({"doc_to_text": "!function utils.key_error"}, ["doc_to_text", "KeyError", "utils.py:", "question, answer"]),
        ({"process_results": "!function utils.key_error"}, ["key_error raised KeyError", "utils.py:6"]),
        ({"process_docs": "!function utils.key_error"}, ["process_docs", "absent", "toy.yaml:", "utils.py:6"]),
        ({"include": "absent.yaml"}, ["toy.yaml:", "no file 'absent.yaml'"]),
        ({"include": "toy.yaml"}, ["include cycle: toy.yaml -> toy.yaml"]),
        ({"include": 3}, ["include is 3", "a file name or a list"]),
        ({"reasoning_tags": 5}, ["toy.yaml:", "reasoning"]),
    ],
    ids=str,
)
def test_a_wrong_field_is_told_with_file_and_line_before_the_model_is_built(bench, write_task, run, fields, expected):
    code = "def prompt(doc):\n    return 'x'\n\n\ndef key_error(doc, *rest):\n    return doc['absent']\n"
    write_task(bench, "toy", 2, code=code, **fields)
    text = collection_error(run("bench"))
    for part in expected:
        assert part in text


def test_an_include_cycle_over_two_files_is_named(bench, write_task, run):
    write_task(bench, "toy", 1, include="_a.yaml")
    (bench / "_a.yaml").write_text("include: _b.yaml\n")
    (bench / "_b.yaml").write_text("include: _a.yaml\n")
    assert "include cycle: toy.yaml -> _a.yaml -> _b.yaml -> _a.yaml" in collection_error(run("bench"))


def test_an_error_in_an_included_file_names_that_file(bench, write_task, run):
    write_task(bench, "toy", 1, include="_base.yaml")
    (bench / "_base.yaml").write_text("repeats: 1\n\nrepeets: 2\n")
    assert f"{bench / '_base.yaml'}:3: unknown field 'repeets'" in collection_error(run("bench"))


def test_a_module_that_fails_to_import_names_its_line(bench, write_task, run):
    write_task(bench, "toy", 1, code="x = 1\nraise RuntimeError('broken utils')\n", doc_to_text="!function utils.f")
    text = collection_error(run("bench"))
    assert "broken utils" in text
    assert "utils.py:2" in text


def test_a_module_that_needs_a_missing_package_says_what_to_install(bench, write_task, run):
    write_task(bench, "toy", 1, code="import no_such_package_at_all\n", doc_to_text="!function utils.f")
    assert "install no_such_package_at_all" in collection_error(run("bench"))


# --- datasets and miniatures --------------------------------------------------------------------------------------


def test_a_task_without_a_miniature_says_so(bench, write_task, run):
    write_task(bench, "toy", [])
    text = collection_error(run("bench"))
    assert "task toy has no miniature" in text
    assert str(bench / "miniature" / "toy.jsonl") in text


@pytest.mark.parametrize(
    ("line", "expected"),
    [("{", "toy.jsonl:2: no JSON"), ("[1]", "toy.jsonl:2: no JSON object"),
     ('{"image": {"$image": "gone.png"}}', "toy.jsonl:2: no file 'gone.png'")],
)  # fmt: skip
def test_a_wrong_line_in_a_miniature_is_named(bench, write_task, run, line, expected):
    write_task(bench, "toy", 1)
    miniature = bench / "miniature" / "toy.jsonl"
    miniature.write_text(miniature.read_text() + line + "\n")
    assert expected in collection_error(run("bench"))


def test_a_dataset_neither_cached_nor_reachable_is_one_error_a_task_and_not_retried(pytester, bench, write_task):
    for name in ("toy_a", "toy_b", "toy_c"):
        write_task(bench, name, 2)
    result = pytester.runpytest_subprocess("bench", "--lmms-model", "dummy")
    text = collection_error(result, count=3)
    assert text.count("--lmms-data mini") == 3
    assert text.count("cannot be opened") == 3
    assert "nobody/has-this-dataset" in text
    assert "Retrying" not in text + result.stderr.str(), "the Hub's client retries for 24 s a dataset"


def test_a_local_file_that_is_missing_is_named(bench, write_task, run):
    write_task(bench, "toy", 0, dataset_path="json", dataset_kwargs={"data_files": "rows.jsonl"}, test_split="train")
    text = collection_error(run("bench", data="full"))
    assert "rows.jsonl" in text
    assert "the Hub" not in text


def test_an_unknown_split_is_named(bench, write_task, run):
    write_task(bench, "toy", 0, dataset_path="json", dataset_kwargs={"data_files": "rows.jsonl"}, test_split="tset")
    (bench / "rows.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    text = collection_error(run("bench", data="full"))
    assert "tset" in text
    assert "correct the split" in text
