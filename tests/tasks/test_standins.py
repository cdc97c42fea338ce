import textwrap

import pytest

pytest_plugins = ["pytester"]

UTILS = """
    from loguru import logger as eval_logger
    from lmms_eval.filters.extraction import ExtendedRegexFilter
    from lmms_eval.tasks._task_utils.file_utils import generate_submission_file
    from lmms_eval.tasks._task_utils.mmmu_mcq_utils import get_multi_choice_info, parse_mmmu_multi_choice_response

    class Letters(ExtendedRegexFilter):
        def apply(self, resps, docs):
            return [[self.find_match(self.regex, r) or self.fallback for r in rs] for rs in resps]

    def question(doc, kwargs=None):
        return doc["question"]

    def visual(doc):
        return []

    def score(doc, results):
        options, letters = get_multi_choice_info(doc["options"])
        chosen = parse_mmmu_multi_choice_response(results[0], letters, options)
        return {"right": {"chosen": chosen, "gold": doc["answer"]}}

    def total(results, args):
        eval_logger.info("{} answers", len(results))
        with open(generate_submission_file("mine.json", args), "w") as file:
            file.write("[]")
        return sum(r["chosen"] == r["gold"] for r in results) / len(results)
"""
TASK = """
    task: mine
    dataset_path: json
    dataset_kwargs: {data_files: {test: mine/rows.jsonl}}
    test_split: test
    output_type: generate_until
    doc_to_text: !function utils.question
    doc_to_visual: !function utils.visual
    doc_to_target: answer
    process_results: !function utils.score
    filter_list:
      - name: letters
        filter:
          - {function: !function utils.Letters, regex_pattern: "[(][A-D][)]"}
    metric_list: [{metric: right, aggregation: !function utils.total, higher_is_better: true}]
"""
ROWS = """
{"question": "Which?", "options": ["dog", "cat"], "answer": "B"}
{"question": "What?", "options": ["x"], "answer": "A"}
"""


@pytest.fixture
def task(pytester):
    folder = pytester.mkdir("mine")
    (folder / "utils.py").write_text(textwrap.dedent(UTILS))
    (folder / "mine.yaml").write_text(textwrap.dedent(TASK))
    (folder / "rows.jsonl").write_text(ROWS.lstrip())
    return folder


def test_a_task_with_lmms_evals_imports_runs_where_that_is_not_installed(pytester, task):
    pytester.makeconftest(
        """
        import pytest
        from pytest_lmms.testing import ScriptedModel

        @pytest.fixture(scope="session")
        def lmms_model():
            return ScriptedModel(lambda request: "so (B) it is")
        """
    )
    done = pytester.runpytest_subprocess("mine/mine.yaml", "--lmms-output-path", str(pytester.path / "out"))
    assert done.ret == 0, done.stdout.str()
    done.stdout.fnmatch_lines(["*right*0.5*"])
    assert list((pytester.path / "out").rglob("submissions/mine.json"))


def test_a_checkout_finds_the_modules_of_its_own_tasks_folder(tmp_path):
    from pytest_lmms.tasks.yamlfile import FunctionRef

    tasks = tmp_path / "lmms_eval" / "tasks"
    (tasks / "_task_utils").mkdir(parents=True)
    (tasks / "other_of_checkout").mkdir()
    (tasks / "mine").mkdir()
    (tasks / "other_of_checkout" / "rules.py").write_text("RULE = 'of the other task'")
    (tasks / "_task_utils" / "only_there.py").write_text("from lmms_eval.utils import eval_logger\nRULE = 'shared'")
    (tasks / "mine" / "utils.py").write_text(
        "from lmms_eval.tasks.other_of_checkout.rules import RULE\n"
        "from lmms_eval.tasks._task_utils.only_there import RULE as SHARED\n"
    )
    yaml = tasks / "mine" / "mine.yaml"
    assert FunctionRef("utils.RULE", yaml, 1).resolve() == "of the other task"
    assert FunctionRef("utils.SHARED", yaml, 1).resolve() == "shared"


def test_what_is_missing_names_the_package_to_install(tmp_path):
    from pytest_lmms.errors import TaskError
    from pytest_lmms.tasks.yamlfile import FunctionRef

    (tmp_path / "utils.py").write_text("from lmms_eval.api.task import Task\n")
    with pytest.raises(TaskError, match="install lmms_eval"):
        FunctionRef("utils.Task", tmp_path / "mine.yaml", 1).resolve()
