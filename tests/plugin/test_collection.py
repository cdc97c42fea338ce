"""Which documents become items, under which ids, and how pytest's own options act on them."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET

import pytest

from pytest_lmms import catalog


def ids_of(result: pytest.RunResult) -> list[str]:
    """Node ids that `--collect-only -q` printed."""
    return [line for line in result.outlines if "::" in line and not line.startswith(("ERROR", "FAILED"))]


# --- items and ids ------------------------------------------------------------------------------------------------


def test_each_document_is_an_item_with_the_id_file_task_row(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 3)
    result = run("bench", "--collect-only", "-q")
    assert ids_of(result) == [f"bench/toy.yaml::toy[{i}]" for i in range(3)]


def test_a_model_without_a_task_is_told_how_to_name_one(run):
    result = run()
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["lmms: a model and no task: name some with --lmms-tasks *"])


def test_a_task_whose_dataset_cannot_be_opened_is_not_told_to_be_named(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 3, dataset_path="json", dataset_kwargs={"data_files": "none.jsonl"})
    result = run("bench", data="full")
    result.stdout.fnmatch_lines(["*the dataset of task toy * cannot be opened*"])
    result.stdout.no_fnmatch_line("*a model and no task*")


def test_collecting_only_needs_no_model_and_makes_no_run_folder(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 3)
    result = run("bench", "--collect-only", "-q", model=None)
    assert len(ids_of(result)) == 3
    assert result.ret == 0
    assert not (pytester.path / "results").exists()


def test_one_document_is_selected_by_its_id(pytester, write_task, run, records_of):
    write_task(pytester.path / "bench", "toy", 20)
    result = run("bench/toy.yaml::toy[17]")
    result.assert_outcomes(passed=1)
    assert [r["doc_id"] for r in records_of("toy")] == [17]


def test_an_id_beyond_the_last_document_is_an_error(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 3)
    result = run("bench/toy.yaml::toy[3]")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*not found*toy.yaml*"])


def test_verbose_output_says_how_each_document_fared(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 2)
    run("bench", "-v").stdout.fnmatch_lines(["*toy.yaml::toy[[]0] SCORED*", "*toy.yaml::toy[[]1] SCORED*"])


# --- which files --------------------------------------------------------------------------------------------------


FOREIGN = {
    "ansible.yaml": "- hosts: all\n  tasks:\n    - name: x\n      task: y\n",
    "taskfile.yml": "version: 3\ntask: build\ncmds: [make]\n",
    "broken.yaml": "task: [unclosed\n",
    "template.yaml": "{{ if x }}\ntask: a\n{{ end }}\ngroup: b\n",
    "binary.yaml": b"\xff\xfe\x00task",
    "empty.yaml": "",
    "compose.yml": "group: web\nservices: {}\n",
    "celery.yml": "task: add\ngroup: workers\n",
}


def write_foreign(folder):
    folder.mkdir(exist_ok=True)
    for name, content in FOREIGN.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def test_foreign_yamls_below_a_folder_are_silently_ignored(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 2)
    write_foreign(pytester.path / "bench")
    result = run("bench")
    result.assert_outcomes(passed=2)
    assert result.ret == 0
    assert not any(name in result.stdout.str() + result.stderr.str() for name in FOREIGN)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_named_yaml_that_is_no_task_is_an_error(pytester, run, name):
    write_foreign(pytester.path / "bench")
    result = run(f"bench/{name}")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*{name}*"])
    assert "Traceback" not in result.stdout.str()


def test_a_group_that_is_named_collects_its_members(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy_a", 1)
    write_task(pytester.path / "bench", "toy_b", 1)
    write_task(pytester.path / "bench", "toy_c", 1)
    (pytester.path / "bench" / "both.yaml").write_text("group: both\ntask: [toy_b, toy_a]\n")
    result = run("bench/both.yaml", "--collect-only", "-q")
    assert ids_of(result) == ["bench/toy_b.yaml::toy_b[0]", "bench/toy_a.yaml::toy_a[0]"]


def test_a_group_below_a_folder_adds_nothing_to_its_members(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy_a", 1)
    (pytester.path / "bench" / "both.yaml").write_text("group: both\ntask: [toy_a]\n")
    run("bench").assert_outcomes(passed=1)


def test_a_group_with_an_unknown_member_says_which(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy_a", 1)
    (pytester.path / "bench" / "both.yaml").write_text("group: both\ntask: [toy_aa]\n")
    result = run("bench/both.yaml")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*unknown task 'toy_aa'*", "*did you mean: toy_a?*"])


# --- tasks by name ------------------------------------------------------------------------------------------------


def test_tasks_by_name_come_from_the_catalogue_under_ids_of_their_own(pytester, run):
    result = run("--lmms-tasks", "mme", "--collect-only", "-q")
    assert ids_of(result) == [f"lmms/mme/mme.yaml::mme[{i}]" for i in range(8)]


def test_tasks_by_name_may_be_groups_tags_and_patterns(pytester, write_task, run):
    folder = pytester.path / "mine"
    write_task(folder / "x", "toy_a", 1, tag="fruit")
    write_task(folder / "x", "toy_b", 1, tag=["fruit", "other"])
    write_task(folder / "x", "zoo", 1)
    (folder / "g.yaml").write_text("group: all_of_it\ntask: [zoo, fruit]\n")
    for names, expected in [("fruit", "ab"), ("toy_*", "ab"), ("all_of_it", "zab"), ("zoo,other", "zb")]:
        result = run("--lmms-task-paths", folder, "--lmms-tasks", names, "--collect-only", "-q")
        assert "".join(i.rpartition("[")[0].rpartition("::")[2][-1:].replace("o", "z") for i in ids_of(result)) == (
            expected
        ), names


def test_a_path_and_names_together_mean_what_both_have(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy_a", 1)
    write_task(pytester.path / "bench", "toy_b", 1)
    result = run("bench", "--lmms-task-paths", "bench", "--lmms-tasks", "toy_b,mme", "--collect-only", "-q")
    assert ids_of(result) == ["bench/toy_b.yaml::toy_b[0]"]


def test_names_replace_the_ini_testpaths(pytester, write_task, run):
    pytester.makeini("[pytest]\ntestpaths = bench\n")
    write_task(pytester.path / "bench", "toy_a", 1)
    result = run("--lmms-tasks", "mme", "--collect-only", "-q")
    assert len(ids_of(result)) == 8


def test_an_ini_key_of_task_names_replaces_testpaths_as_well(pytester, write_task, run):
    pytester.makeini("[pytest]\nlmms_tasks = mme\n")
    assert len(ids_of(run("--collect-only", "-q"))) == 8


# --- unrelated projects -------------------------------------------------------------------------------------------


def test_a_bare_run_in_an_unrelated_project_is_silent(pytester, run):
    pytester.makepyfile("def test_own(): pass")
    write_foreign(pytester.path / "deploy")
    result = run(model=None, data=None)
    result.assert_outcomes(passed=1)
    assert "lmms:" not in result.stdout.str()
    assert not (pytester.path / "results").exists()


def test_a_bare_run_does_not_collect_task_yamls_that_happen_to_lie_around(pytester, write_task, run):
    pytester.makepyfile("def test_own(): pass")
    write_task(pytester.path / "bench", "toy", 2)
    run(model=None, data=None).assert_outcomes(passed=1)


def test_a_run_on_a_folder_of_an_unrelated_project_is_silent(pytester, run):
    folder = pytester.mkdir("sub")
    (folder / "test_own.py").write_text("def test_own(): pass")
    write_foreign(folder)
    result = run("sub", model=None, data=None)
    result.assert_outcomes(passed=1)
    assert "lmms:" not in result.stdout.str()


def test_the_header_names_the_model_and_who_chose_it(pytester, write_task, run):
    pytester.makeini("[pytest]\nlmms_model = dummy\ntestpaths = bench\n")
    write_task(pytester.path / "bench", "toy", 1)
    run(model=None).stdout.fnmatch_lines(["lmms: model dummy (from ini lmms_model)*"])
    run("bench").stdout.fnmatch_lines(["lmms: model dummy (from --lmms-model)*"])


def test_the_header_shows_no_secret(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 1)
    result = run("bench", "--lmms-model-args", "response=B,api_key=hunter22", "--collect-only")
    assert "hunter22" not in result.stdout.str()


# --- ids outside the rootdir --------------------------------------------------------------------------------------


def test_ids_outside_the_rootdir_can_be_pasted_back(pytester, write_task, run, records_of):
    collected = ids_of(run("--lmms-tasks", "mme,mmmu_val", "--collect-only", "-q"))
    assert "lmms/mmmu/mmmu_val.yaml::mmmu_val[0]" in collected
    run("lmms/mme/mme.yaml::mme[5]").assert_outcomes(passed=1)
    assert [r["doc_id"] for r in records_of("mme")] == [5]


def test_ids_outside_the_rootdir_serve_last_failed(pytester, run, results_of):
    args = ["--lmms-tasks", "mme", "--lmms-model", "scripted", "--lmms-data", "mini"]
    script = 'responses={"mme[2]":{"raise":"lost"}},default=Yes'
    first = pytester.runpytest_inprocess(*args, "--lmms-model-args", script)
    first.assert_outcomes(passed=7, failed=1)
    second = pytester.runpytest_inprocess(*args, "--lmms-model-args", "default=Yes", "--lf")
    second.assert_outcomes(passed=1)


def test_a_task_given_by_a_path_outside_the_rootdir_gets_an_id_with_its_folder(
    pytester, write_task, run, tmp_path_factory
):
    path = write_task(tmp_path_factory.mktemp("away") / "zoo", "toy", 2)
    pytester.makeini("[pytest]\n")
    result = run(path, "--rootdir", pytester.path, "--collect-only", "-q")
    assert ids_of(result) == ["lmms/zoo/toy.yaml::toy[0]", "lmms/zoo/toy.yaml::toy[1]"]
    run(path, "--rootdir", pytester.path, "-q").assert_outcomes(passed=2)


def test_two_tasks_of_one_name_in_a_session_are_an_error_that_names_both(pytester, write_task, run):
    paths = [write_task(pytester.path / name / "zoo", "toy", 1) for name in "ab"]
    result = run(".")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"task 'toy' is defined twice: in {paths[0]} and in {paths[1]}"])


def test_a_copy_of_a_task_of_the_catalogue_runs_by_its_path(pytester, run):
    shutil.copytree(catalog.folder("benchmarks") / "mme", pytester.path / "mine")
    run("mine", "-k", "mme").assert_outcomes(passed=8)
    run("mine/mme.yaml::mme[1]").assert_outcomes(passed=1)


# --- -k and -m ----------------------------------------------------------------------------------------------------


@pytest.fixture
def two_tasks(pytester, write_task):
    """`toy`, with a miniature; `other`, whose documents cannot be opened."""
    write_task(pytester.path / "bench", "toy", 12, tag=["fruit"])
    write_task(pytester.path / "bench", "other", [], tag=["stone"])
    (pytester.path / "bench" / "g.yaml").write_text("group: everything\ntask: [toy, other]\n")
    (pytester.path / "bench" / "h.yaml").write_text("group: ripe_ones\ntask: [fruit]\n")
    (pytester.path / "bench" / "i.yaml").write_text("group: outermost\ntask: [ripe_ones]\n")


@pytest.mark.parametrize(
    ("expression", "numbers"),
    [
        ("toy", range(12)),
        ("TOY", range(12)),
        ("toy and not toy[1]", [0, *range(2, 12)]),
        ("toy[1]", [1]),
        ("toy and [1]", [1]),
        ("toy and 1", [1, 10, 11]),
        ("toy and 11]", [11]),
        ("fruit", range(12)),
        ("fruit and not ruled_out_by_nothing", range(12)),
        ("ripe_ones", range(12)),
        ("outermost", range(12)),
        ("everything and not stone", range(12)),
        ("not other", range(12)),
        ("not stone", range(12)),
        ("toy.yaml", range(12)),
        ("toy and (0 or 1 or 2 or 3 or 4 or 5 or 6 or 7)", [*range(8), 10, 11]),
    ],
)
def test_a_task_that_k_rules_out_is_never_opened(pytester, two_tasks, run, expression, numbers):
    result = run("bench", "-k", expression, "--collect-only", "-q")
    assert ids_of(result) == [f"bench/toy.yaml::toy[{i}]" for i in numbers]
    assert result.ret == 0


@pytest.mark.parametrize("expression", ["fruit", "toy", "not stone", "ripe_ones", "outermost and not other"])
def test_m_knows_tasks_groups_and_tags_and_rules_out_before_opening(pytester, two_tasks, run, expression):
    result = run("bench", "-m", expression, "--collect-only", "-q", "--strict-markers")
    assert len(ids_of(result)) == 12
    assert result.ret == 0


@pytest.mark.parametrize("expression", ["[1]", "1", "not toy[3]"])
def test_a_task_whose_documents_may_match_is_opened(pytester, two_tasks, run, expression):
    result = run("bench", "-k", expression, "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*task other has no miniature*"])


def test_more_than_eight_unknown_identifiers_rule_nothing_out(pytester, two_tasks, run):
    nine = " or ".join(f"{n}{n}{n}]" for n in range(9))
    result = run("bench", "-k", f"toy and ({nine})", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*task other has no miniature*"])


def test_an_empty_match_says_so_and_exits_5(pytester, two_tasks, run):
    result = run("bench", "-k", "safety_redteam")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["*2 tasks ruled out by name, datasets not opened*no task matches*"])
    assert not (pytester.path / "results").exists()


def test_an_empty_match_says_so_quietly_as_well(pytester, two_tasks, run):
    result = run("bench", "-k", "safety_redteam", "-q")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["*no task matches*"])


def test_a_wrong_expression_is_pytests_own_error(pytester, two_tasks, run):
    result = run("bench/toy.yaml", "-k", "toy and (")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_k_selects_ordinary_tests_beside_tasks(pytester, two_tasks, run):
    (pytester.path / "bench" / "test_own.py").write_text("def test_toy(): pass\ndef test_plain(): pass\n")
    run("bench", "-k", "test_plain").assert_outcomes(passed=1, deselected=1)


# --- limit and offset ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--lmms-limit", "4"], [0, 1, 2, 3]),
        (["--lmms-limit", "0.25"], [0, 1, 2]),
        (["--lmms-limit", "-1"], range(10)),
        (["--lmms-limit=-1"], range(10)),
        (["--lmms-limit", "99"], range(10)),
        (["--lmms-offset", "7"], [7, 8, 9]),
        (["--lmms-offset", "3", "--lmms-limit", "2"], [3, 4]),
        (["--lmms-offset", "8", "--lmms-limit", "0.5"], [8, 9]),
        (["--lmms-limit", "1.0"], [0]),
    ],
)
def test_limit_and_offset_choose_rows_that_keep_their_numbers(pytester, write_task, run, options, numbers):
    write_task(pytester.path / "bench", "toy", 10)
    result = run("bench", *options, "--collect-only", "-q")
    assert ids_of(result) == [f"bench/toy.yaml::toy[{i}]" for i in numbers]


def test_an_offset_beyond_the_end_leaves_nothing(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 3)
    assert run("bench", "--lmms-offset", "3").ret == pytest.ExitCode.NO_TESTS_COLLECTED


# --- pytest's options over documents that fail --------------------------------------------------------------------


@pytest.fixture
def failing(pytester, write_task):
    """Run a task of 6 documents of which 1 and 3 are errors; `failing(*arguments)`."""
    write_task(pytester.path / "bench", "toy", 6)
    script = 'responses={"toy[1]":{"raise":"lost"},"toy[3]":{"raise":"lost"}},default=A'

    def failing(*arguments, script=script):
        return pytester.runpytest_inprocess(
            "bench", "--lmms-model", "scripted", "--lmms-model-args", script, "--lmms-data", "mini", *arguments
        )

    return failing


def test_a_wrong_answer_passes_and_an_error_fails(pytester, failing, records_of):
    result = failing("--lmms-max-errors", "0", script='responses={"toy[0]":"B","toy[1]":{"raise":"lost"}},default=A')
    result.assert_outcomes(passed=5, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [r["status"] for r in records_of("toy")] == ["scored", "error", *["scored"] * 4]
    result.stdout.fnmatch_lines(["*toy[[]1]*lost*"])


def test_x_stops_at_the_first_error_and_exits_1(failing, records_of):
    result = failing("-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Not a complete benchmark*"])


def test_maxfail_counts_errored_documents(failing):
    result = failing("--maxfail=2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=2)


def test_last_failed_runs_only_the_errored_documents(failing):
    failing()
    failing("--lf").assert_outcomes(failed=2)
    failing("--lf", script="default=A").assert_outcomes(passed=2)


def test_failed_first_runs_errored_documents_first(failing):
    failing()
    result = failing("--ff", "-v", script="default=A")
    lines = [line for line in result.outlines if "SCORED" in line]
    assert ["toy[1]" in lines[0], "toy[3]" in lines[1], len(lines)] == [True, True, 6]


def test_stepwise_stops_at_an_error_and_goes_on_from_it(failing):
    failing("--sw").assert_outcomes(passed=1, failed=1)
    failing("--sw", script="default=A").assert_outcomes(passed=5, deselected=1)


@pytest.mark.parametrize("more", [[], ["-n", "1"]], ids=["here", "in a worker"])
def test_junit_xml_has_one_case_a_document_with_its_properties_as_json(pytester, failing, more):
    failing("--junitxml=out.xml", *more)
    cases = ET.parse(pytester.path / "out.xml").getroot().findall(".//testcase")
    assert [c.get("name") for c in cases] == [f"toy[{i}]" for i in range(6)]
    assert [bool(c.findall("failure")) for c in cases] == [False, True, False, True, False, False]
    assert "lost" in (cases[1].find("failure").text or "") + str(cases[1].find("failure").get("message"))
    for case in cases:
        properties = {p.get("name"): p.get("value") for p in case.iter("property")}
        told = json.loads(properties["lmms"])
        assert f"{told['task']}[{told['doc_id']}]" == case.get("name")
        assert told["status"] == ("error" if case.findall("failure") else "scored")


def test_documents_run_without_xdist(pytester, failing):
    failing("-p", "no:xdist").assert_outcomes(passed=4, failed=2)


def test_documents_run_without_a_terminal_reporter(pytester, write_task):
    write_task(pytester.path / "bench", "toy", 2)
    result = pytester.runpytest_inprocess("bench", "--lmms-model=dummy", "--lmms-data=mini", "-p", "no:terminal")
    assert result.ret == 0
    assert list(pytester.path.glob("results/*/results.json"))


def test_documents_run_without_the_cache_plugin(pytester, failing):
    failing("-p", "no:cacheprovider").assert_outcomes(passed=4, failed=2)


def test_durations_are_those_of_the_requests(pytester, write_task):
    write_task(pytester.path / "bench", "toy", 2)
    pytester.makeconftest(
        """
        import time, pytest
        from pytest_lmms.testing import ScriptedModel

        @pytest.fixture(scope="session")
        def lmms_model():
            def answer(request):
                time.sleep(0.2 if request.doc_id == 1 else 0)
                return "A"
            return ScriptedModel(answer)
        """
    )
    result = pytester.runpytest_inprocess("bench", "--lmms-data=mini", "--durations=1", "-vv")
    result.stdout.fnmatch_lines(["*0.2*s call*toy[[]1]*"])


# --- the standard path --------------------------------------------------------------------------------------------


def test_pdb_forces_pytests_own_path(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 3)
    result = run("bench", "--pdb", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*pytest's own path: --pdb*"])


def test_an_autouse_fixture_of_function_scope_forces_pytests_own_path_and_v_says_so(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 3)
    (pytester.path / "bench" / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef each_time():\n    print('ran for this one')\n    yield\n"
    )
    result = run("bench", "-v", "-s")
    result.assert_outcomes(passed=3)
    assert result.stdout.str().count("ran for this one") == 3
    result.stdout.fnmatch_lines(["*function-scoped autouse fixture each_time*"])


def test_without_v_the_chosen_path_is_not_talked_about(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 3)
    (pytester.path / "bench" / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef each_time():\n    yield\n"
    )
    assert "own path" not in run("bench").stdout.str()


def test_both_paths_give_the_same_records(pytester, write_task, run, records_of):
    write_task(pytester.path / "bench", "toy", 5)
    keys = ("doc_id", "doc_hash", "input", "target", "filtered_resps", "status", "exact_match")
    run("bench")
    short = [[r[k] for k in keys] for r in records_of("toy")]
    run("bench", "--setup-show")
    assert [[r[k] for k in keys] for r in records_of("toy")] == short


def test_a_hook_that_looks_at_phases_forces_pytests_own_path(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 2)
    pytester.makeconftest("def pytest_runtest_setup(item):\n    print('set up', item.name)\n")
    result = run("bench", "-s", "-v")
    result.assert_outcomes(passed=2)
    assert "set up toy[1]" in result.stdout.str()


def test_an_error_on_pytests_own_path_fails_with_its_message_and_no_traceback(failing):
    result = failing("--setup-show")
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(["*toy[[]1]*lost*"])
    assert "run_document.py" not in result.stdout.str()


# --- the model as a fixture ---------------------------------------------------------------------------------------

OWN_MODEL = """
import pytest
from pytest_lmms.testing import ScriptedModel

@pytest.fixture(scope="session")
def lmms_model():
    yield ScriptedModel([], default={answer!r})
    print("model {answer} goes")
"""


def test_a_conftest_may_override_the_model_and_needs_no_option(pytester, write_task, run, records_of):
    write_task(pytester.path / "bench", "toy", 2)
    pytester.makeconftest(OWN_MODEL.format(answer="mine"))
    result = run("bench", model=None)
    result.assert_outcomes(passed=2)
    assert [r["filtered_resps"] for r in records_of("toy")] == [["mine"], ["mine"]]


@pytest.mark.parametrize("options", [[], ["--setup-show"]])
def test_two_conftests_with_different_models_answer_with_the_right_one_each(
    pytester, write_task, run, records_of, options
):
    for name in ("a", "b"):
        write_task(pytester.path / "bench" / name, f"toy_{name}", 3)
        (pytester.path / "bench" / name / "conftest.py").write_text(OWN_MODEL.format(answer=f"from {name}"))
    write_task(pytester.path / "bench" / "c", "toy_c", 3)
    run("bench", *options).assert_outcomes(passed=9)
    answers = {n: {r["filtered_resps"][0] for r in records_of(f"toy_{n}")} for n in "abc"}
    assert answers == {"a": {"from a"}, "b": {"from b"}, "c": {"A"}}


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_the_results_name_the_model_that_answered_and_not_only_the_one_that_was_named(
    pytester, write_task, run, workers
):
    def named(*args, **more):
        result = run(*args, *workers, **more)
        newest = max(pytester.path.glob("**/results.json"), key=lambda path: path.stat().st_mtime_ns)
        model = json.loads(newest.read_text())["config"]["model"]
        result.stdout.fnmatch_lines([f"=* {model}: results =*"])
        return model

    write_task(pytester.path / "bench" / "a", "toy_a", 2)
    write_task(pytester.path / "bench" / "b", "toy_b", 2)
    assert named("bench") == "dummy"
    (pytester.path / "bench" / "a" / "conftest.py").write_text(OWN_MODEL.format(answer="mine"))
    assert named("bench") == "dummy, ScriptedModel (lmms_model fixture)"
    assert named("bench/a") == "ScriptedModel (lmms_model fixture)"
    assert named("bench/a", model=None) == "ScriptedModel (lmms_model fixture)"


def test_a_model_of_module_scope_is_closed_before_the_next_tasks_model_is_made(pytester, write_task, run):
    pytester.makeconftest(
        """
        import pytest
        from pytest_lmms.testing import ScriptedModel
        events = []

        @pytest.fixture(scope="module")
        def lmms_model(request):
            events.append("made")
            yield ScriptedModel([], default="A")
            events.append("gone")

        def pytest_unconfigure():
            print("events:", *events)
        """
    )
    write_task(pytester.path / "bench", "toy_a", 2)
    write_task(pytester.path / "bench", "toy_b", 2)
    result = run("bench", "-s")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["events: made gone made gone"])


def test_fixtures_may_look_at_the_module_and_the_path_of_a_task(pytester, write_task, run):
    pytester.makeconftest(
        "import pytest\n\n@pytest.fixture(scope='module', autouse=True)\ndef looks(request):\n"
        "    assert (request.module.__name__, request.path.name) == ('toy', 'toy.yaml')\n"
    )
    write_task(pytester.path / "bench", "toy", 2)
    run("bench").assert_outcomes(passed=2)


def test_a_failing_fixture_gives_every_document_an_error_that_names_it_and_other_tasks_run(pytester, write_task, run):
    write_task(pytester.path / "bench" / "a", "toy_a", 2)
    write_task(pytester.path / "bench" / "b", "toy_b", 2)
    (pytester.path / "bench" / "a" / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture(scope='module', autouse=True)\ndef needs_licence():\n"
        "    raise RuntimeError('no licence found')\n"
    )
    result = run("bench")
    result.assert_outcomes(failed=2, passed=2)
    assert result.stdout.str().count("no licence found") >= 2
    result.stdout.fnmatch_lines(["*needs_licence*no licence found*"])


def test_a_failing_model_fixture_is_named(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 2)
    pytester.makeconftest(
        "import pytest\n\n@pytest.fixture(scope='session')\ndef lmms_model():\n    raise RuntimeError('no GPU here')\n"
    )
    result = run("bench", model=None)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*lmms_model*no GPU here*"])


def test_a_model_fixture_that_skips_skips_its_documents_and_nothing_is_missing(pytester, write_task, run):
    write_task(pytester.path / "bench", "toy", 2)
    pytester.makeconftest(
        "import pytest\n\n@pytest.fixture(scope='session')\ndef lmms_model():\n    pytest.skip('no GPU here')\n"
    )
    result = run("bench", "-rs", model=None)
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*no GPU here*"])
    assert "no record" not in result.stdout.str()
    assert result.ret == 0


# --- beside ordinary tests ----------------------------------------------------------------------------------------

MIXED_CONFTEST = """
import pytest
events = []

@pytest.fixture(scope="session", autouse=True)
def of_session():
    events.append("session up")
    yield
    events.append("session down")

@pytest.fixture(scope="package", autouse=True)
def of_package():
    events.append("package up")
    yield
    events.append("package down")

@pytest.fixture(scope="module", autouse=True)
def of_module(request):
    events.append(f"{request.path.name} up")
    yield
    events.append(f"{request.path.name} down")

def pytest_unconfigure():
    print("events: " + ", ".join(events))
"""


@pytest.mark.parametrize("options", [[], ["--setup-show"]])
def test_documents_and_ordinary_tests_share_fixtures_and_tear_them_down_in_order(pytester, write_task, run, options):
    pytester.makeconftest(MIXED_CONFTEST)
    folder = pytester.mkdir("bench")
    (folder / "test_1.py").write_text("def test_a(): pass\n\nclass TestIt:\n    def test_b(self): pass\n")
    (folder / "test_3.py").write_text("def test_c(): pass\n")
    write_task(folder, "test_2", 3)
    write_task(folder, "zoo", 2)
    result = run("bench", "-s", *options)
    result.assert_outcomes(passed=8)
    (line,) = [line for line in result.outlines if line.startswith("events: ")]
    assert line.removeprefix("events: ").split(", ") == [
        "session up",
        "package up",
        *(f"{name} {way}" for name in ("test_1.py", "test_2.yaml", "test_3.py", "zoo.yaml") for way in ("up", "down")),
        "package down",
        "session down",
    ]


def test_a_single_document_between_ordinary_tests_leaves_the_fixture_stack_clean(pytester, write_task, run):
    folder = pytester.mkdir("bench")
    (folder / "test_1.py").write_text("def test_a(): pass\n")
    write_task(folder, "toy", 3)
    run("bench/toy.yaml::toy[1]", "bench/test_1.py", "bench/toy.yaml::toy[0]").assert_outcomes(passed=3)


def test_ordinary_tests_may_ask_for_the_model(pytester, write_task, run):
    folder = pytester.mkdir("bench")
    (folder / "test_1.py").write_text("def test_a(lmms_model): assert type(lmms_model).__name__ == 'Dummy'\n")
    write_task(folder, "toy", 3)
    run("bench").assert_outcomes(passed=4)


# --- how the plugin arrives ---------------------------------------------------------------------------------------


def test_the_plugin_may_be_named_although_it_loads_by_itself(pytester, write_task):
    write_task(pytester.path / "bench", "toy", 2)
    args = ("bench", "--lmms-model=dummy", "--lmms-data=mini")
    result = pytester.runpytest_subprocess("-p", "pytest_lmms.plugin", *args)
    result.assert_outcomes(passed=2)


def test_the_plugin_may_be_named_in_a_conftest(pytester, write_task):
    write_task(pytester.path / "bench", "toy", 2)
    pytester.makeconftest("pytest_plugins = ['pytest_lmms.plugin']")
    pytester.runpytest_subprocess("bench", "--lmms-model=dummy", "--lmms-data=mini").assert_outcomes(passed=2)


def test_the_plugin_works_where_autoloading_is_off_and_is_absent_unless_named(pytester, write_task, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    write_task(pytester.path / "bench", "toy", 2)
    args = ("bench", "--lmms-model=dummy", "--lmms-data=mini")
    pytester.runpytest_subprocess("-p", "pytest_lmms.plugin", *args).assert_outcomes(passed=2)
    assert pytester.runpytest_subprocess(*args).ret == pytest.ExitCode.USAGE_ERROR


def test_the_plugin_may_be_switched_off(pytester, write_task):
    pytester.makepyfile("def test_own(): pass")
    pytester.runpytest_subprocess("-p", "no:pytest_lmms.plugin").assert_outcomes(passed=1)
